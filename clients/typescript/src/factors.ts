// The second factors of the signed-in user. It is an entry of its own, because only the page of an
// account needs it.

import type { FactorAnswer, FactorsAnswer, Message, RecoveryCodesAnswer, TOTPEnrolment } from "./api.js"
import { callKey, type Client } from "./client.js"
import type { CallAsUser } from "./requests.js"

export type { Factor, FactorAnswer, FactorsAnswer, Message, RecoveryCodesAnswer, TOTPEnrolment } from "./api.js"

/**
 * Changes need a recent proof. Without a handler (`client.onStepUp`), they throw STEP_UP_REQUIRED:
 * call `client.stepUp`, then try again.
 */
export interface Factors {
  list(): Promise<FactorsAnswer>
  /** Creates a secret for an authenticator app. It becomes a factor with confirmTOTP. */
  beginTOTP(): Promise<TOTPEnrolment>
  /**
   * Adds the app of an enrolment, with the code that it shows. With the first factor the response
   * has recovery codes: show them, because the server does not return them again.
   */
  confirmTOTP(id: string, body: { code: string }): Promise<FactorAnswer>
  rename(id: string, body: { name: string }): Promise<Message>
  /** Removes a factor and ends the user's other sessions. */
  remove(id: string): Promise<Message>
  /** Replaces the recovery codes. The old ones become invalid. */
  newRecoveryCodes(): Promise<RecoveryCodesAnswer>
}

/** Returns the calls for the factors of a client's user. */
export function createFactors(client: Client): Factors {
  const callAsUser = (client as Client & { [callKey]: CallAsUser })[callKey]
  const pathOf = (id: string, action = ""): string => `factors/${action}${encodeURIComponent(id)}`
  /** Renews the access token, whose level has changed. A failure must not hide codes that are shown once. */
  async function renewed<T>(response: T): Promise<T> {
    await client.refresh().catch(() => {})
    return response
  }
  return {
    list: () => callAsUser("GET", "factors"),
    beginTOTP: () => callAsUser("POST", "factors/totp"),
    confirmTOTP: async (id, body) => renewed(await callAsUser("POST", `${pathOf(id, "totp/")}/confirm`, body)),
    rename: (id, body) => callAsUser("PATCH", pathOf(id), body),
    remove: async (id) => renewed(await callAsUser("DELETE", pathOf(id))),
    newRecoveryCodes: () => callAsUser("POST", "factors/recovery-codes"),
  }
}
