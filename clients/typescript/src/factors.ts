// Second factors and passkeys. This is a separate entry point, because most pages don't need it.

import type {
  FactorAnswer,
  FactorsAnswer,
  Message,
  RecoveryCodesAnswer,
  RememberedDevicesAnswer,
  TOTPEnrolment,
} from "./api.js"
import { partsKey, type Client, type Parts } from "./client.js"
import { beginFactor, confirmFactor, renewAfterChange } from "./enrolment.js"
import { signalAccepted } from "./signal.js"

export { nextStep } from "./nextstep.js"
export type { NextStep } from "./nextstep.js"
export { createPasskeys } from "./passkeys.js"
export type {
  Outcome,
  PasskeyCapabilities,
  PasskeyCreateOptions,
  PasskeyOptions,
  Passkeys,
  PasskeySecondStepOptions,
  PasskeySignInOptions,
} from "./passkeys.js"
export type {
  Factor,
  FactorAnswer,
  FactorsAnswer,
  Message,
  RecoveryCodesAnswer,
  RememberedDevice,
  RememberedDevicesAnswer,
  TOTPEnrolment,
} from "./api.js"

/**
 * The second factors of the signed-in user. A change needs a recent proof. Without a handler (`client.onStepUp`), it
 * throws STEP_UP_REQUIRED: call `client.stepUp`, then try again.
 */
export interface Factors {
  /** Lists apps and passkeys. It also tells the browser which passkeys exist, so call it after a change. */
  list(): Promise<FactorsAnswer>
  /** Creates a secret for an authenticator app. confirmTOTP turns the app into a factor. */
  beginTOTP(): Promise<TOTPEnrolment>
  /**
   * Adds the app of an enrolment, with the code that it shows. With the first factor the response
   * has recovery codes: show them, because the server does not return them again. After a sign-in
   * that threw ENROLMENT_REQUIRED, it also signs in.
   */
  confirmTOTP(id: string, body: { code: string }): Promise<FactorAnswer>
  /** Renames an app or a passkey. */
  rename(id: string, body: { name: string }): Promise<Message>
  /** Removes an app or a passkey and ends the user's other sessions. */
  remove(id: string): Promise<Message>
  /** Replaces the recovery codes. The old ones become invalid. */
  newRecoveryCodes(): Promise<RecoveryCodesAnswer>
  /** Lists the browsers that skip the second factor. */
  devices(): Promise<RememberedDevicesAnswer>
  /** Makes a remembered browser require the second factor again. */
  forgetDevice(id: string): Promise<Message>
  forgetDevices(): Promise<Message>
}

/** Returns the calls for the factors of a client's user. */
export function createFactors(client: Client<object>): Factors {
  const parts = (client as Client & { [partsKey]: Parts })[partsKey]
  const { callAsUser, session } = parts
  const pathOf = (id: string, parent = "factors"): string => `${parent}/${encodeURIComponent(id)}`
  return {
    async list() {
      const response = await callAsUser<FactorsAnswer>("GET", "factors")
      signalAccepted(response, session.snapshot.user)
      return response
    },
    beginTOTP: () => beginFactor(parts, "factors/totp"),
    confirmTOTP: (id, body) => confirmFactor(client, parts, `${pathOf(id, "factors/totp")}/confirm`, body),
    rename: (id, body) => callAsUser("PATCH", pathOf(id), body),
    remove: async (id) => renewAfterChange(client, await callAsUser("DELETE", pathOf(id))),
    newRecoveryCodes: () => callAsUser("POST", "factors/recovery-codes"),
    devices: () => callAsUser("GET", "devices"),
    forgetDevice: (id) => callAsUser("DELETE", pathOf(id, "devices")),
    forgetDevices: () => callAsUser("DELETE", "devices"),
  }
}
