// Every form works without this script.
"use strict";
const each = (selector, act) => document.querySelectorAll(selector).forEach(act);
const inputOf = (element) => document.getElementById(element.dataset.of);
const lang = document.documentElement.lang;

each("button[data-show]", (button) => {
  const input = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    button.textContent = shown ? button.dataset.show : button.dataset.hide;
    button.setAttribute("aria-pressed", String(!shown));
  });
});

// The server counts characters in the same form (NFKC).
each("[data-min]", (rule) => {
  const input = inputOf(rule);
  const tick = () => rule.classList.toggle("met", [...input.value.normalize("NFKC")].length >= rule.dataset.min);
  rule.classList.add("ticks");
  input.addEventListener("input", tick);
  tick();
});

each(".caps", (note) => {
  const input = inputOf(note);
  const say = (event) => {
    const text = event.getModifierState?.("CapsLock") ? note.dataset.text : "";
    if (note.textContent !== text) note.textContent = text;
  };
  for (const kind of ["keydown", "keyup", "mousedown", "blur"]) input.addEventListener(kind, say);
});

// The server can't know the reader's time zone. Relative times go on while the page is open. They
// use the age that the server sent, because the reader's clock may be wrong.
each("time", (time) => {
  const exact = new Date(time.dateTime).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" });
  time.title = time.dataset.age ? exact : time.textContent;
  if (!time.dataset.age) time.textContent = exact;
});
setInterval(() => each("time[data-age]", (time) => {
  const age = Number(time.dataset.age) + performance.now() / 1000;
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60]].find(([, size]) => age >= size) ?? [];
  if (unit) time.textContent = new Intl.RelativeTimeFormat(lang).format(-Math.floor(age / size), unit);
}), 30_000);

// The server can't know how far the reader's time is from UTC, which differs in summer.
each("form[data-zone]", (form) => {
  form.querySelector("[data-utc]").hidden = true;
  form.addEventListener("submit", () => {
    form.elements.zone.value = new Date(form.elements.at.value || Date.now()).getTimezoneOffset();
  });
});

// A form is sent once, however often its button is pressed.
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    const button = event.submitter ?? form.querySelector("[type=submit]");
    form.dataset.sent = "yes";
    button?.setAttribute("aria-busy", "true");
    setTimeout(() => { // the user may have stopped loading
      delete form.dataset.sent;
      button?.removeAttribute("aria-busy");
    }, 10_000);
  });
}

// The token of a mailed link is in the fragment. The script moves it from the address bar into the
// form. The button sends it.
const withCookies = () => location.replace(location.pathname + (location.search ? location.search + "&" : "?") + location.hash);
const link = document.querySelector("form[data-link]");
if (link?.dataset.again !== undefined && location.hash) {
  withCookies(); // the browser omits the cookies after a link of another site, and sends them now
} else if (link) {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname + location.search);
  const input = link.elements.token;
  if (token) input.value = token;
  if (input.value) {
    input.closest(".token").hidden = true;
  } else if (!document.querySelector("[role=alert]")) {
    const note = document.createElement("p");
    note.className = "note bad";
    note.setAttribute("role", "alert");
    note.textContent = link.dataset.incomplete;
    link.before(note);
  }
}
// If the page is already open, a link changes only the fragment, and the browser loads nothing.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) withCookies();
});
// A page that the back button restores from memory may belong to a user who has signed out.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// Recovery codes
each("button[data-copy]", (button) => {
  button.hidden = !navigator.clipboard; // it needs https or the loopback
  button.addEventListener("click", async () => {
    const codes = [...document.querySelectorAll(".codes li")].map((code) => code.textContent);
    await navigator.clipboard.writeText(codes.join("\n") + "\n");
    button.textContent = button.dataset.copy;
  });
});
each("button[data-print]", (button) => {
  button.hidden = false;
  button.addEventListener("click", () => print());
});
