// Adds the first factor to an account that must have one, for an application that renders on its server. The first
// code of the authenticator app completes the sign-in that threw ENROLMENT_REQUIRED.

import type { FactorAnswer, SignIn, TOTPEnrolment, UserAnswer } from "./api.js"
import { attemptError } from "./appattempt.js"
import type { AppCookies } from "./cookies.js"
import type { RequestAuth, SignInRequest } from "./server.js"

export function createAppEnrolment(
  cookies: AppCookies,
  signIn: SignInRequest,
): Pick<RequestAuth<never>, "enrolment" | "beginTOTP" | "confirmTOTP"> {
  const enrolment = (): ReturnType<AppCookies["challenge"]> => cookies.challenge("ENROLMENT_REQUIRED")

  /**
   * Sends a step of the enrolment. It throws if no sign-in waits for a factor, because Watchword would then respond
   * that the access token is missing.
   */
  async function sendForWaitingSignIn<T extends object>(path: string, body: object): Promise<T> {
    if (!enrolment()) throw attemptError("CHALLENGE_INVALID")
    return signIn<T>(path, body)
  }
  return {
    enrolment,
    beginTOTP: () => sendForWaitingSignIn<TOTPEnrolment>("factors/totp", {}),
    async confirmTOTP(id, { code }): Promise<UserAnswer & FactorAnswer> {
      const path = `factors/totp/${encodeURIComponent(id)}/confirm`
      const { user, factor, recoveryCodes } = await sendForWaitingSignIn<SignIn & FactorAnswer>(path, { code })
      return { user, factor, ...(recoveryCodes && { recoveryCodes }) }
    },
  }
}
