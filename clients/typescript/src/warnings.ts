// Faults of the configuration that only show in the responses of Watchword.

import { parseSetCookie } from "./cookiejar.js"
import type { Fetch } from "./transport.js"

/** The limits see one client for all users. */
const sharedBudget =
  "Watchword limits requests of this server. If its address is not in trusted-proxies, or if the address of each " +
  "browser is not passed, all users share one budget."

/** Browsers leave the cookie out of the first request after a link of another site. */
const strictCookie =
  "Watchword's refresh cookie is SameSite=Strict. Set cookie-same-site=lax, or a signed-in user who follows a link " +
  "from another site sees the sign-in page."

export interface WarningOptions {
  apiUrl: string
  /** The name of Watchword's cookie if this application reads it, else "own". */
  refreshCookie: string
  warn: (message: string) => void
}

/** Returns a fetch that warns once of each fault that it sees in a response of Watchword. */
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
    if (response.status === 429) once(sharedBudget)
    if (response.headers.getSetCookie().some(isStrict)) once(strictCookie)
    return response
  }
}
