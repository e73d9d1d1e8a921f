// Configuration faults that only the responses of Watchword reveal.

import { parseSetCookie } from "./cookiejar.js"
import type { Fetch } from "./transport.js"

/** Warns that the server's rate limits count all users of this application as one client. */
const sharedBudgetWarning =
  "Watchword limits requests of this server. If its address is not in trusted-proxies, or if the address of each " +
  "browser is not passed, all users share one budget."

/**
 * Warns about SameSite=Strict. Browsers do not send such a cookie when a user follows a link from another site.
 */
const strictCookieWarning =
  "Watchword's refresh cookie is SameSite=Strict. Set cookie-same-site=lax, or a signed-in user who follows a link " +
  "from another site sees the sign-in page."

export interface WarningOptions {
  apiUrl: string
  /** The name of Watchword's cookie if this application reads that cookie, else "own". */
  refreshCookie: string
  warn: (message: string) => void
}

/** Returns a fetch that warns once about each fault in the responses of Watchword. */
export function warningFetch(fetch: Fetch, { apiUrl, refreshCookie, warn }: WarningOptions): Fetch {
  const said = new Set<string>()
  const once = (message: string): void => {
    if (!said.has(message)) warn(message)
    said.add(message)
  }
  const isStrict = (header: string): boolean => {
    const { name, options } = parseSetCookie(header)
    return name === refreshCookie && options.sameSite === "strict"
  }
  return async (input, init) => {
    const response = await fetch(input, init)
    if (!String(input).startsWith(apiUrl)) return response
    if (response.status === 429) once(sharedBudgetWarning)
    if (response.headers.getSetCookie().some(isStrict)) once(strictCookieWarning)
    return response
  }
}
