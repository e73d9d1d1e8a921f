// The client for Watchword, which the proxy and the pages share.
import { createServerAuth, type RequestContext } from "@watchword/client/server"
import { Verifier } from "@watchword/verify"

export const watchwordUrl = process.env.WATCHWORD_URL ?? "http://localhost:8080"
export const origin = process.env.APP_ORIGIN ?? "http://localhost:3000"

const create = () =>
  createServerAuth({
    baseUrl: watchwordUrl,
    origin,
    refreshCookie: process.env.REFRESH_COOKIE ?? "own", // use "__Secure-watchword" on a subdomain
    verifier: new Verifier(watchwordUrl),
  })

// Next.js bundles the proxy and the pages separately, so both use a global variable. Requests with one refresh token
// then share one refresh, and one verifier follows the revocation feed.
const shared = globalThis as { watchword?: ReturnType<typeof create> }

export const authFor = (context: RequestContext) => (shared.watchword ??= create())(context)

export const browserOf = (headers: Headers) => ({
  userAgent: headers.get("user-agent"),
  // The last entry is from the reverse proxy in front of this application, or from Next.js itself.
  // The browser can forge the earlier entries.
  address: headers.get("x-forwarded-for")?.split(",").at(-1)?.trim(),
})
