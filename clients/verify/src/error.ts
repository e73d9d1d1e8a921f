/**
 * Why a token was not accepted:
 *
 * - `TOKEN_EXPIRED`: The token has expired, or was issued before the user's roles changed. The client should refresh.
 * - `TOKEN_INVALID`: The token is not a valid access token of this issuer for this audience.
 * - `SESSION_ENDED`: The session of the token has ended. The user must sign in again.
 * - `TRY_LATER`: The token can't be checked, because the issuer's keys (or, with `onStale: "closed"`, its
 *   revocations) could not be read. Respond with 503, because a 401 would sign the user out.
 */
export type TokenErrorCode = "TOKEN_EXPIRED" | "TOKEN_INVALID" | "SESSION_ENDED" | "TRY_LATER"

const messages: Record<TokenErrorCode, string> = {
  TOKEN_EXPIRED: "The access token has expired.",
  TOKEN_INVALID: "This is not a valid access token.",
  SESSION_ENDED: "The session of the access token has ended.",
  TRY_LATER: "Access tokens can't be verified right now.",
}

/** The only error that `verify` and `ready` throw. It never contains the token. */
export class TokenError extends Error {
  /** Also accepts errors of another copy of this package, because frameworks put a copy into each bundle. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && value.name === "TokenError" && String((value as TokenError).code) in messages
  }

  override readonly name = "TokenError"
  readonly code: TokenErrorCode

  /** `cause` is set for `TRY_LATER` only. */
  constructor(code: TokenErrorCode, cause?: unknown) {
    super(messages[code], cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** Returns a TRY_LATER error, for a verifier that can't check tokens. */
export function unavailable(cause: unknown): TokenError {
  return cause instanceof TokenError ? cause : new TokenError("TRY_LATER", cause)
}
