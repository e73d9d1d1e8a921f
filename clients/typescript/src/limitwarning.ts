// The limits of Watchword see one client for all users if the address of this program is not
// trusted, or if the application does not pass the address of each browser.

import type { Fetch } from "./transport.js"

/** Returns a fetch that warns once when Watchword limits a request. */
export function warningOfLimits(fetch: Fetch, apiUrl: string, warn: (message: string) => void): Fetch {
  let warned = false
  return async (input, init) => {
    const response = await fetch(input, init)
    if (response.status === 429 && !warned && String(input).startsWith(apiUrl)) {
      warned = true
      warn(
        "Watchword limits requests of this server. If its address is not in trusted-proxies, or if the address of " +
          "each browser is not passed, all users share one budget.",
      )
    }
    return response
  }
}
