// Sign-in with an external provider, for an application that renders on its server.
//
//  1. The application's server keeps a verifier in a cookie. The browser takes the verifier's
//     hash to Watchword (RFC 7636, S256).
//  2. Watchword redirects back with a code in the URL. The code is useless without the
//     verifier.
//  3. The application's server exchanges the code and the verifier for the session.
//  4. Each attempt has one of five cookies, so five tabs can sign in at once. The return URL
//     contains the number of the cookie.

import type { AppCookies } from "./cookies.js"
import { WatchwordError, type WatchwordErrorCode } from "./error.js"

/** A query parameter of the return URL. Its value is the number of the cookie. */
const attemptParameter = "attempt"

/** Stores a new verifier, and returns the URL of Watchword that redirects to the provider. */
export async function startAttempt(
  cookies: AppCookies,
  { root, provider, returnTo }: { root: string; provider: string; returnTo: URL },
): Promise<string> {
  const verifier = random256Bits()
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))
  const target = new URL(returnTo)
  target.searchParams.set(attemptParameter, cookies.keepVerifier(verifier))
  target.hash = ""
  const query = new URLSearchParams({
    return_to: target.href,
    code_challenge: base64url(new Uint8Array(hash)),
    code_challenge_method: "S256",
  })
  return `${root}/sign-in/${encodeURIComponent(provider)}?${query}`
}

/**
 * Returns the code of a return URL and the verifier of its attempt, and deletes the verifier's cookie. If the cookie
 * is missing, a stranger may have sent the URL. In this case, it returns a random verifier. Watchword then rejects
 * the code and deletes it, so that the stranger can't use it either.
 */
export function takeAttempt(
  cookies: AppCookies,
  query: URLSearchParams,
): { code: string; verifier: string; isOurs: boolean } {
  const verifier = cookies.takeVerifier(query.get(attemptParameter) ?? "")
  const code = query.get("code")
  if (code) return { code, verifier: verifier ?? random256Bits(), isOurs: verifier !== undefined }
  const refused = query.get("error")
  const isKnown = verifier !== undefined && refused && Object.hasOwn(messageByCode, refused)
  throw attemptError(isKnown ? refused : "CHALLENGE_INVALID")
}

/**
 * The messages for the codes in a return URL. The URL contains no message, because a stranger could write any text.
 */
const messageByCode: Record<string, string> = {
  PROVIDER_REFUSED: "The sign-in with the provider was not completed. Try again, or sign in in another way.",
  PROVIDER_UNAVAILABLE: "The provider did not respond as expected. Try again shortly, or sign in in another way.",
  CHALLENGE_INVALID: "This sign-in took too long, or began in another browser. Start again.",
  SIGNUP_CLOSED: "Sign-up is closed.",
  EMAIL_NOT_VERIFIED: "Check your inbox. We emailed you the next step.",
  EMAIL_TAKEN: "This address has an account. Sign in to it first.",
  ACCOUNT_DISABLED: "This account is disabled.",
  FACTOR_LIMIT: "This account has too many connected accounts. Disconnect one first.",
  RATE_LIMITED: "Too many attempts. Try again in a moment.",
  TRY_LATER: "Try again in a moment.",
}

export function attemptError(code: string): WatchwordError {
  return new WatchwordError(code as WatchwordErrorCode, messageByCode[code] ?? code)
}

/** 43 characters of base64url. */
function random256Bits(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)))
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replace(/=+$/, "")
    .replaceAll("+", "-")
    .replaceAll("/", "_")
}
