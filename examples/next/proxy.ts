// The proxy runs before each page, action and route handler. It can set cookies, so it refreshes a stale token. The
// render then reads the fresh cookie.
import { NextResponse, type NextRequest } from "next/server"
import type { CookieOptions } from "@watchword/client/server"
import { authFor, browserOf } from "./lib/watchword"

export async function proxy(request: NextRequest) {
  const changes: [string, string, CookieOptions][] = []
  const auth = authFor({
    ...browserOf(request.headers),
    getCookie: (name) => request.cookies.get(name)?.value,
    setCookie(name, value, options) {
      changes.push([name, value, options]) // for the response to the browser
      if (value) request.cookies.set(name, value) // for the render of this request
      else request.cookies.delete(name)
    },
  })
  try {
    await auth.session()
  } catch {
    // Watchword does not respond. The user may still be signed in, so the cookies are not deleted.
    return new NextResponse("The sign-in service does not respond. Try again in a moment.", {
      status: 503,
      headers: { "Retry-After": "5", "Cache-Control": "no-store" },
    })
  }
  const response = NextResponse.next({ request: { headers: request.headers } })
  for (const [name, value, options] of changes) response.cookies.set(name, value, options)
  if (changes.length > 0) response.headers.set("Cache-Control", "private, no-store")
  return response
}

export const config = { matcher: ["/((?!_next/static|_next/image|favicon.ico).*)"] }
