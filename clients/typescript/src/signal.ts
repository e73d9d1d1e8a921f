// Signals (WebAuthn Level 3, section 5.1.10) tell the browser which passkeys an account has, so that it stops
// offering others. In browsers without signals, the functions have no effect. Failures are ignored.

import type { FactorsAnswer, User } from "./api.js"
import { browserPasskeys } from "./ceremony.js"

/** Tells the browser which passkeys the account has, and the name of the account. */
export function signalAccepted({ signal }: FactorsAnswer, user: User | undefined): void {
  const browser = browserPasskeys()
  if (!signal || !browser) return
  attempt(() => browser.signalAllAcceptedCredentials?.(signal))
  const { rpId, userId } = signal
  if (!user) return
  // The names must equal the names in the server's options for a new passkey.
  const details = { rpId, userId, name: user.email, displayName: user.name || user.email }
  attempt(() => browser.signalCurrentUserDetails?.(details))
}

/** Tells the browser that no account has this passkey. */
export function signalUnknown(rpId: string | undefined, credential: object): void {
  const { id } = credential as { id?: string }
  if (rpId && id) attempt(() => browserPasskeys()?.signalUnknownCredential?.({ rpId, credentialId: id }))
}

function attempt(signal: () => Promise<void> | undefined): void {
  new Promise((resolve) => resolve(signal())).catch(() => {})
}
