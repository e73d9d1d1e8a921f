// Everything here works without this script; it only makes it nicer.
"use strict";
for (const button of document.querySelectorAll("button[data-show]")) {
  const input = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    button.textContent = shown ? button.dataset.show : button.dataset.hide;
    button.setAttribute("aria-pressed", String(!shown));
  });
}
for (const time of document.querySelectorAll("time")) {
  const at = new Date(time.dateTime);
  time.title = time.textContent;
  time.textContent = at.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}
// A form is sent once, however often its button is pressed.
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 10_000); // somebody pressed Stop
  });
}
// The token of a mailed link is in the fragment. It is taken out of the address
// bar at once, and sent when the button is pressed.
const link = document.querySelector("form[data-link]");
if (link?.dataset.again !== undefined && location.hash) {
  // A link of another site brought no cookies. Asked for from here, the page has them.
  location.replace(location.pathname + (location.search ? location.search + "&" : "?") + location.hash);
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
// Who opens such a link where its page is open already changes only the fragment,
// and for that no browser loads a page. With a "?" it is another address.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) location.replace(location.pathname + (location.search ? location.search + "&" : "?") + location.hash);
});
// What the back button brings from memory may be of somebody who has signed out.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
