// The first factor of an account that must have one, for an application that renders on its server.
// A sign-in has thrown ENROLMENT_REQUIRED, and the first code of the new app completes it.

import type { FactorAnswer, SignIn, TOTPEnrolment, UserAnswer } from "./api.js"
import { attemptError } from "./appattempt.js"
import type { AppCookies } from "./cookies.js"
import type { RequestAuth, SignInRequest } from "./server.js"

export function createAppEnrolment(
  cookies: AppCookies,
  signIn: SignInRequest,
): Pick<RequestAuth<never>, "enrolment" | "beginTOTP" | "confirmTOTP"> {
  const enrolment = (): ReturnType<AppCookies["challenge"]> => cookies.challenge("ENROLMENT_REQUIRED")

  /** Without a waiting sign-in, Watchword would ask for an access token. */
  async function send<T extends object>(path: string, body: object): Promise<T> {
    if (!enrolment()) throw attemptError("CHALLENGE_INVALID")
    return signIn<T>(path, body)
  }
  return {
    enrolment,
    beginTOTP: () => send<TOTPEnrolment>("factors/totp", {}),
    async confirmTOTP(id, { code }): Promise<UserAnswer & FactorAnswer> {
      const path = `factors/totp/${encodeURIComponent(id)}/confirm`
      const { user, factor, recoveryCodes } = await send<SignIn & FactorAnswer>(path, { code })
      return { user, factor, ...(recoveryCodes && { recoveryCodes }) }
    },
  }
}
