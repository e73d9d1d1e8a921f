// Exchanges refresh tokens for new tokens, for many users in one process.

import type { SignIn } from "./api.js"
import { now, pause } from "./clock.js"
import { WatchwordError, type WatchwordErrorCode } from "./error.js"
import { jsonRequest, readJSON, send, type Transport } from "./transport.js"

/** The result of a refresh that succeeded or ended the session. Other errors are thrown. */
export type Outcome = { response: SignIn; setCookies: string[] } | { ended: WatchwordErrorCode; setCookies: string[] }

/** Exchanges a refresh token. Calls with the same token share one request and its outcome. */
export type Exchange = (refreshToken: string, headers: Record<string, string>) => Promise<Outcome>

/** Milliseconds that an outcome is kept, for requests that still send the old token. */
const outcomeLifetime = 5_000
const maxOutcomes = 10_000 // an outcome needs about 2 kB

const endings: readonly unknown[] = [
  "REFRESH_MISSING",
  "REFRESH_INVALID",
  "REFRESH_REUSED",
  "SESSION_ENDED",
] satisfies WatchwordErrorCode[]

export interface ExchangeOptions {
  apiUrl: string
  transport: Transport
  refreshCookie: string
}

export function createExchange({ apiUrl, transport, refreshCookie }: ExchangeOptions): Exchange {
  const outcomes = new Map<string, { outcome: Promise<Outcome>; until: number }>() // by refresh token

  async function attempt(refreshToken: string, headers: Record<string, string>): Promise<Outcome> {
    const isOwn = refreshCookie === "own"
    const init = jsonRequest("POST", isOwn ? { refreshToken } : undefined)
    const cookie = isOwn ? {} : { Cookie: `${refreshCookie}=${refreshToken}` }
    const all = { ...(init.headers as Record<string, string>), ...headers, ...cookie }
    return send(transport, `${apiUrl}/refresh`, { ...init, headers: all }, async (answer) => {
      const setCookies = answer.headers.getSetCookie()
      try {
        return { response: await readJSON<SignIn>(answer), setCookies }
      } catch (error) {
        const code = error instanceof WatchwordError ? error.code : undefined
        if (code && endings.includes(code)) return { ended: code, setCookies }
        throw error
      }
    })
  }

  /** Sends a refresh, and sends it again if the response is lost. The server then repeats the response. */
  async function exchange(refreshToken: string, headers: Record<string, string>): Promise<Outcome> {
    try {
      return await attempt(refreshToken, headers)
    } catch (error) {
      if (!(error instanceof WatchwordError) || (error.code !== "NETWORK" && error.code !== "TIMEOUT")) throw error
      await pause(100 + Math.random() * 200)
      return attempt(refreshToken, headers)
    }
  }

  return (refreshToken, headers) => {
    const known = outcomes.get(refreshToken)
    if (known && known.until > now()) return known.outcome
    const outcome = exchange(refreshToken, headers)
    for (const [token, { until }] of outcomes) {
      if (until > now() && outcomes.size < maxOutcomes) break // a Map lists its oldest entry first
      outcomes.delete(token)
    }
    const entry = { outcome, until: Infinity }
    outcomes.delete(refreshToken)
    outcomes.set(refreshToken, entry)
    outcome.then(
      () => (entry.until = now() + outcomeLifetime),
      () => outcomes.delete(refreshToken),
    )
    return outcome
  }
}
