// Passkeys. The buttons are hidden until this script knows that the browser has passkeys. A button
// asks for a passkey and sends the response as a form, so each page works without JSON.
const all = (selector) => [...document.querySelectorAll(selector)];

const toBytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

// The browser's own functions for JSON are missing in older browsers, and fail for the passkeys of
// some password managers.
const decode = ({ challenge, user, allowCredentials, excludeCredentials, ...rest }) => {
  const ids = (list) => list?.map((one) => ({ ...one, id: toBytes(one.id) }));
  return { ...rest, challenge: toBytes(challenge), user: user && { ...user, id: toBytes(user.id) },
    allowCredentials: ids(allowCredentials), excludeCredentials: ids(excludeCredentials) };
};
const encode = ({ id, rawId, type, authenticatorAttachment, response }) => {
  const parts = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) parts[name] = toText(response[name]);
  }
  if (response.getTransports) parts.transports = response.getTransports();
  return JSON.stringify({ id, rawId: toText(rawId), type, response: parts, clientExtensionResults: {},
    authenticatorAttachment: authenticatorAttachment ?? undefined });
};

// The options of a sign-in and of an upgrade come from the server, because a page may stay open for
// longer than they are valid (5 minutes). Both requests of the sign-in page share them.
const life = 240_000;
let begun;
const begin = (form) => {
  if (!form.dataset.from) return { ceremony: form.dataset.ceremony, publicKey: JSON.parse(form.dataset.options) };
  if (!begun || Date.now() - begun.at > life) begun = { at: Date.now(), answer: load(form.dataset.from) };
  return begun.answer;
};
const load = async (path) => {
  const response = await fetch(path, { method: "POST" });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
};

async function ask(form, how = {}) {
  const { ceremony, publicKey } = await begin(form);
  how.signal?.throwIfAborted();
  const does = form.dataset.passkey; // create or get
  const credential = await navigator.credentials[does]({ publicKey: decode(publicKey), ...how });
  form.elements.ceremony.value = ceremony ?? "";
  form.elements.credential.value = encode(credential);
  // The boxes belong to the form of the password or the code, unless the page has only this form.
  for (const name of ["remember", "rememberDevice"]) {
    const box = document.querySelector(`[type=checkbox][name=${name}]`);
    if (box && form.elements[name]?.type === "hidden") form.elements[name].value = box.checked ? "yes" : "";
  }
  form.requestSubmit();
}

// A browser has one request for a passkey at a time. The one of the autofill waits until a button is
// pressed or the password is sent.
let waiting;
let suggests = false;
const stopAutofill = () => waiting?.abort();
async function autofill(form) {
  suggests = true;
  stopAutofill();
  waiting = new AbortController();
  await ask(form, { mediation: "conditional", signal: waiting.signal }).catch(() => {});
}

function offer(form) {
  const button = form.querySelector("button");
  const problem = form.querySelector("[role=alert]");
  form.hidden = false;
  button.addEventListener("click", async () => {
    stopAutofill();
    problem.textContent = "";
    button.setAttribute("aria-busy", "true");
    try {
      await ask(form);
    } catch (error) {
      const { cancelled, exists, unsupported, failed } = form.dataset;
      problem.textContent = { NotAllowedError: cancelled, AbortError: cancelled, InvalidStateError: exists,
        NotSupportedError: unsupported, SecurityError: unsupported }[error.name] ?? failed;
      button.removeAttribute("aria-busy");
      // A second press can use the options of a cancelled dialog.
      if (error.name !== "NotAllowedError") begun = undefined;
      if (suggests) autofill(form);
    }
  });
}

async function start() {
  all("form[data-passkey]:not([data-upgrade])").forEach(offer);
  all("[data-passkeys]").forEach((element) => { element.hidden = false; });

  const signIn = document.querySelector("form[data-autofill]");
  if (signIn && await PublicKeyCredential.isConditionalMediationAvailable?.()) {
    all("form").filter((form) => form !== signIn).forEach((form) => form.addEventListener("submit", stopAutofill));
    autofill(signIn);
    setInterval(() => {
      if (document.visibilityState === "visible" && begun && Date.now() - begun.at > life) autofill(signIn);
    }, 10_000);
  }

  // The browser forgets passkeys that the account no longer has.
  for (const { dataset } of all("[data-signal]")) {
    const { rpId, userId, name, displayName, allAcceptedCredentialIds } = JSON.parse(dataset.signal);
    await PublicKeyCredential.signalAllAcceptedCredentials?.({ rpId, userId, allAcceptedCredentialIds });
    await PublicKeyCredential.signalCurrentUserDetails?.({ rpId, userId, name, displayName });
  }
  if (signIn?.dataset.unknown) {
    const { publicKey } = await begin(signIn);
    await PublicKeyCredential.signalUnknownCredential?.({ rpId: publicKey.rpId, credentialId: signIn.dataset.unknown });
  }

  // After a sign-in with a password, the browser may create a passkey without a dialog. It is asked
  // once for a view of the page and its reloads, because it may never answer.
  const upgrade = document.querySelector("form[data-upgrade]");
  if (upgrade && history.state !== "asked for a passkey" &&
      (await PublicKeyCredential.getClientCapabilities?.())?.conditionalCreate) {
    history.replaceState("asked for a passkey", "");
    await ask(upgrade, { mediation: "conditional" });
  }
}

// A signal or an upgrade that fails is no concern of the reader.
if (window.PublicKeyCredential) start().catch(() => {});
