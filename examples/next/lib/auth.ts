// Functions that return the session of the current request, for components, actions and route handlers.
import { WatchwordError } from "@watchword/client/server"
import { cookies, headers } from "next/headers"
import { redirect } from "next/navigation"
import { cache } from "react"
import { authFor, browserOf } from "./watchword"

/** The session for server components. They can't set cookies, so proxy.ts refreshes the token before the render. */
export const auth = cache(async () => {
  const jar = await cookies()
  return authFor({ ...browserOf(await headers()), getCookie: (name) => jar.get(name)?.value })
})

/** The session for server actions and route handlers, which can set cookies. */
export async function writableAuth() {
  const jar = await cookies()
  return authFor({
    ...browserOf(await headers()),
    getCookie: (name) => jar.get(name)?.value,
    setCookie: (name, value, options) => void jar.set(name, value, options),
  })
}

/**
 * Redirects a visitor to the sign-in page, which redirects back to `path` after the sign-in.
 */
export async function requireSession(path: string) {
  try {
    return await (await auth()).requireSession()
  } catch (error) {
    if (error instanceof WatchwordError && error.code === "TOKEN_MISSING") {
      redirect(`/sign-in?to=${encodeURIComponent(path)}`)
    }
    throw error // the session can't be checked: error.tsx offers to try again
  }
}
