// The cookie with the challenge of a sign-in that waits for a second factor, or for the account's first factor.

import type { Challenge } from "./api.js"
import type { Jar } from "./cookiejar.js"

const maxCookieLength = 3_000 // browsers drop cookies of more than 4 KB

/** Why a sign-in waits. */
export type ChallengeCode = "SECOND_FACTOR_REQUIRED" | "ENROLMENT_REQUIRED"

interface Kept extends Challenge {
  code: ChallengeCode
  /** The token of the waiting sign-in. Absent if it is in Watchword's own cookie. */
  handle?: string | undefined
}

export interface ChallengeCookie {
  /** Returns the challenge if the sign-in waits for this reason. */
  challenge(code: ChallengeCode): Challenge | undefined
  handle(): string | undefined
  keep(kept: Kept): void
  end(): void
}

export function createChallengeCookie(jar: Jar): ChallengeCookie {
  const read = (): ReturnType<typeof decodeChallenge> => decodeChallenge(jar.get("challenge"))
  return {
    challenge(code) {
      const found = read()
      return found?.code === code ? found.challenge : undefined
    },
    handle: () => read()?.handle,
    keep: (kept) => jar.set("challenge", encodeChallenge(kept), { maxAge: kept.expiresIn }),
    end: () => jar.remove("challenge"),
  }
}

/** Returns the value of the challenge's cookie: its expiry time, and JSON in base64url. */
function encodeChallenge({ expiresIn, ...kept }: Kept): string {
  const until = Math.floor(Date.now() / 1000) + expiresIn
  const textOf = (value: object): string => `${until}.${toBase64url(JSON.stringify(value))}`
  const text = textOf(kept)
  if (text.length <= maxCookieLength) return text
  // The WebAuthn options of an account with many passkeys are too long for a cookie, so the cookie omits this method.
  const { passkey: _, ...short } = kept
  return textOf({ ...short, methods: kept.methods.filter((method) => method !== "passkey") })
}

/** Returns undefined for a cookie that is missing, changed or expired. */
function decodeChallenge(
  text: string | undefined,
): (Pick<Kept, "code" | "handle"> & { challenge: Challenge }) | undefined {
  const [until = "", json = ""] = (text ?? "").split(".")
  const expiresIn = Number(until) - Math.floor(Date.now() / 1000)
  if (!(expiresIn > 0)) return undefined
  try {
    const { code, handle, ...kept } = JSON.parse(fromBase64(json)) as Kept
    if (!Array.isArray(kept.methods)) return undefined
    return { code, handle, challenge: { ...kept, expiresIn } }
  } catch {
    return undefined
  }
}

/** Some runtimes have no Buffer. */
function toBase64url(text: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text))
  return btoa(bytes).replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_")
}

function fromBase64(text: string): string {
  const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"))
  return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)))
}
