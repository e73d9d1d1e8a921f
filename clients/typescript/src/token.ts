import type { SignIn } from "./api.js"
import { now } from "./clock.js"

/** An access token. All times are on the clock of clock.ts. */
export interface Token {
  readonly value: string
  /** The id of its session (claim `sid`). */
  readonly sid: string | undefined
  readonly expiresAt: number
  /** The time of the renewal in the background. It is random, so that tabs don't renew at the same time. */
  readonly dueAt: number
  /** The time from which requests wait for a renewal. */
  readonly staleAt: number
}

/**
 * Reads the token of a response. Its lifetime is counted from `sent`, the time of the
 * request, so that the client never uses a token after its expiry.
 */
export function tokenOf(response: Pick<SignIn, "accessToken" | "expiresIn">, sent: number): Token {
  const lifetime = response.expiresIn * 1000
  const margin = Math.min(lifetime / 10, 60_000)
  return {
    value: response.accessToken,
    sid: sidOf(response.accessToken),
    expiresAt: sent + lifetime,
    dueAt: sent + lifetime - margin * (1 + Math.random()),
    staleAt: sent + lifetime - Math.min(margin / 2, 10_000),
  }
}

/** Reports whether there is a token whose limit, `staleAt` or `expiresAt`, is in the future. */
export function isBefore(token: Token | undefined, limit: "staleAt" | "expiresAt"): token is Token {
  return token !== undefined && now() < token[limit]
}

function sidOf(jwt: string): string | undefined {
  try {
    const payload = (jwt.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/")
    return (JSON.parse(atob(payload)) as { sid?: string }).sid
  } catch {
    return undefined
  }
}
