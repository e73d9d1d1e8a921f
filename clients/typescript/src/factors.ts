// The second factors of the signed-in user. It is an entry of its own, because only the page of an
// account needs it.

import type { FactorAnswer, FactorsAnswer, Message, RecoveryCodesAnswer, SignIn, TOTPEnrolment } from "./api.js"
import { partsKey, type Client, type Parts } from "./client.js"
import { handleOf, signIn } from "./signin.js"

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
   * has recovery codes: show them, because the server does not return them again. After a sign-in
   * that threw ENROLMENT_REQUIRED, it also signs in.
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
  const parts = (client as Client & { [partsKey]: Parts })[partsKey]
  const { callAsUser, post, session } = parts
  const pathOf = (id: string, action = ""): string => `factors/${action}${encodeURIComponent(id)}`
  /** Whether a sign-in has thrown ENROLMENT_REQUIRED. Its challenge replaces the access token. */
  const isWaiting = (): boolean => parts.handle !== undefined && !session.snapshot.user
  /** Renews the access token, whose level has changed. A failure must not hide codes that are shown once. */
  async function renewed<T>(response: T): Promise<T> {
    await client.refresh().catch(() => {})
    return response
  }
  return {
    list: () => callAsUser("GET", "factors"),
    beginTOTP: () => (isWaiting() ? post("factors/totp", handleOf(parts)) : callAsUser("POST", "factors/totp")),
    async confirmTOTP(id, body) {
      const path = `${pathOf(id, "totp/")}/confirm`
      if (!isWaiting()) return renewed(await callAsUser<FactorAnswer>("POST", path, body))
      const response = await signIn<SignIn & FactorAnswer>(parts, path, { ...body, ...handleOf(parts) })
      const { factor, recoveryCodes } = response
      return { factor, ...(recoveryCodes && { recoveryCodes }) }
    },
    rename: (id, body) => callAsUser("PATCH", pathOf(id), body),
    remove: async (id) => renewed(await callAsUser("DELETE", pathOf(id))),
    newRecoveryCodes: () => callAsUser("POST", "factors/recovery-codes"),
  }
}
