import { WatchwordError, type WatchwordErrorCode } from "./error.js"

/**
 * The next step that a front-end can offer after an error:
 *
 *  - "retry": the same call again
 *  - "wait": the same call again, after `retryAfter` seconds
 *  - "restart": the first call of the flow again, such as `login` after its second step failed
 *  - "otherWay": a password, a code of an app or a recovery code
 *  - "none": no step is needed, because the device already has the passkey
 *  - "verifyEmail": the address must be proven first
 *  - "stepUp": `stepUp`, then the same call again
 *  - "secondFactor": `completeSignIn` or `client.loginFactor`
 *  - "addFactor": `passkeys.add` or `factors.beginTOTP`, which then sign in
 *  - "removeFactor": the account has the maximum number of factors
 *  - "addOtherWay": this is the last way to sign in; add another one first
 *  - "report": the operator of the site has to help; `requestId` finds the request
 */
export type NextStep =
  | "retry" | "wait" | "restart" | "otherWay" | "none" | "verifyEmail" | "stepUp" | "secondFactor" | "addFactor"
  | "removeFactor" | "addOtherWay" | "report"

const steps: Partial<Record<WatchwordErrorCode, NextStep>> = {
  NETWORK: "retry",
  TIMEOUT: "retry",
  TRY_LATER: "wait",
  RATE_LIMITED: "wait",
  FACTOR_WRONG: "retry",
  VALIDATION_FAILED: "retry",
  PASSKEY_FAILED: "retry",
  PASSKEY_EXISTS: "none",
  PASSKEY_UNSUPPORTED: "otherWay",
  PASSKEY_ORIGIN: "otherWay",
  INVALID_CREDENTIALS: "otherWay",
  NOT_FOUND: "otherWay",
  CHALLENGE_INVALID: "restart",
  TOKEN_MISSING: "restart",
  TOKEN_EXPIRED: "restart",
  TOKEN_INVALID: "restart",
  REFRESH_MISSING: "restart",
  REFRESH_INVALID: "restart",
  REFRESH_REUSED: "restart",
  SESSION_ENDED: "restart",
  EMAIL_NOT_VERIFIED: "verifyEmail",
  STEP_UP_REQUIRED: "stepUp",
  SECOND_FACTOR_REQUIRED: "secondFactor",
  ENROLMENT_REQUIRED: "addFactor",
  FACTOR_LIMIT: "removeFactor",
  LAST_WAY_IN: "addOtherWay",
}

/** Returns the step that a front-end can offer after an error. `error.message` is the sentence for the user. */
export function nextStep(error: unknown): NextStep {
  return (error instanceof WatchwordError && steps[error.code]) || "report"
}
