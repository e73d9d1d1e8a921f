"use strict";

// The token of a mailed link is in the fragment. It is taken out of the address
// bar at once, kept in this page alone, and sent when the button is pressed.
(() => {
  const form = document.getElementById("link");
  const outcome = document.getElementById("outcome");
  const submit = form.querySelector("button[type=submit]");
  const password = document.getElementById("password");
  const show = document.getElementById("show");
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname);

  const say = (text, kind) => {
    outcome.textContent = text;
    outcome.className = kind;
  };

  if (!token) {
    say("This link is not complete. Open it from the mail again, or copy all of it.", "bad");
    return;
  }
  submit.disabled = false;

  if (show) {
    show.addEventListener("click", () => {
      const visible = password.type === "password";
      password.type = visible ? "text" : "password";
      show.textContent = visible ? "Hide" : "Show";
      show.setAttribute("aria-pressed", String(visible));
    });
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    say("One moment …", "");
    const body = password ? { token, password: password.value } : { token };
    try {
      const response = await fetch(form.dataset.api, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      const answer = await response.json();
      if (response.ok) {
        form.hidden = true;
        say(answer.message, "good");
        return;
      }
      say(answer.detail, "bad");
    } catch {
      say("The server can't be reached. Check your connection, then try again.", "bad");
    }
    submit.disabled = false;
  });
})();
