// The cookies of an application that renders on its server.

import type { SignIn } from "./api.js"

/** How the application reads and sets cookies of the current request. */
export interface CookieContext {
  getCookie(name: string): string | undefined
  /**
   * Sets a cookie in the response. Leave it out where that is impossible, such as in a server
   * component: no token is refreshed there. An empty value with `maxAge` 0 deletes a cookie.
   */
  setCookie?: ((name: string, value: string, options: CookieOptions) => void) | undefined
}

export interface CookieOptions {
  path: string
  httpOnly: boolean
  secure: boolean
  sameSite: "lax" | "strict" | "none"
  /** Seconds. Absent: the cookie ends with the browser. */
  maxAge?: number
  /** Set for a cookie that is deleted, because Next.js loses a `maxAge` of 0. */
  expires?: Date
  domain?: string
  partitioned?: boolean
}

export interface AppCookies {
  readonly canSet: boolean
  access(): string | undefined
  refresh(): string | undefined
  device(): string | undefined
  /** The Cookie header with Watchword's own cookies. */
  forwarded(): string
  /**
   * Stores the tokens of a response. `setCookies` are its Set-Cookie headers. `isPersistent`
   * says whether the cookies survive the browser; default: as at the sign-in.
   */
  save(response: SignIn, setCookies: readonly string[], isPersistent?: boolean): void
  clear(setCookies: readonly string[]): void
}

/** Marks the refresh token of a session that ends with the browser, so that a refresh keeps that. */
const temporary = "temporary."

const deviceAge = 400 * 24 * 60 * 60 // the longest that browsers keep a cookie
const refreshAge = 30 * 24 * 60 * 60 // the longest life of a session under the defaults; the server decides

/** @param refreshCookie "own", or the name of Watchword's cookie that the browser also sends here */
export function createCookies(context: CookieContext, secure: boolean, refreshCookie: string): AppCookies {
  const { getCookie, setCookie } = context
  const prefix = secure ? "__Host-watchword" : "watchword"
  const [accessName, sessionName, deviceName] = [`${prefix}-access`, `${prefix}-session`, `${prefix}-device`]
  const isOwn = refreshCookie === "own"
  const knownName = `${refreshCookie}-known`
  // A cookie that was set in this request is not in the request: read the new value.
  const changed = new Map<string, string>()

  function set(name: string, value: string, maxAge?: number): void {
    changed.set(name, value)
    const options: CookieOptions = { path: "/", httpOnly: true, secure, sameSite: "lax" }
    setCookie?.(name, value, { ...options, ...lifetime(maxAge) })
  }
  const get = (name: string): string | undefined => (changed.get(name) ?? getCookie(name)) || undefined

  /** Passes Watchword's own cookies on to the browser. */
  function pass(setCookies: readonly string[]): void {
    for (const header of isOwn ? [] : setCookies) {
      const { name, value, options } = parseSetCookie(header)
      changed.set(name, value)
      setCookie?.(name, value, options)
    }
  }
  return {
    canSet: setCookie !== undefined,
    access: () => get(accessName),
    refresh: () => (isOwn ? get(sessionName)?.replace(temporary, "") : get(refreshCookie)),
    device: () => (isOwn ? get(deviceName) : undefined),
    forwarded() {
      const pairs = [refreshCookie, knownName].map((name) => [name, get(name)] as const)
      return pairs.flatMap(([name, value]) => (value ? [`${name}=${value}`] : [])).join("; ")
    },
    save(response, setCookies, isPersistent = !get(sessionName)?.startsWith(temporary)) {
      set(accessName, response.accessToken, response.expiresIn)
      const { refreshToken } = response
      if (isOwn && refreshToken && isPersistent) set(sessionName, refreshToken, refreshAge)
      if (isOwn && refreshToken && !isPersistent) set(sessionName, temporary + refreshToken)
      if (isOwn && response.deviceToken) set(deviceName, response.deviceToken, deviceAge)
      pass(setCookies)
    },
    clear(setCookies) {
      for (const name of isOwn ? [accessName, sessionName] : [accessName]) if (get(name)) set(name, "", 0)
      pass(setCookies)
    },
  }
}

function lifetime(maxAge: number | undefined): Pick<CookieOptions, "maxAge" | "expires"> {
  if (maxAge === undefined) return {}
  return maxAge === 0 ? { maxAge, expires: new Date(0) } : { maxAge }
}

/** Parses a Set-Cookie header of Watchword (RFC 6265, section 4.1). */
function parseSetCookie(header: string): { name: string; value: string; options: CookieOptions } {
  const [pair = "", ...attributes] = header.split(";").map((part) => part.trim())
  const separator = pair.indexOf("=")
  const attribute = (name: string): string | undefined => {
    const found = attributes.find((one) => one.split("=")[0]?.toLowerCase() === name)
    return found?.slice(found.indexOf("=") + 1)
  }
  const [maxAge, domain] = [attribute("max-age"), attribute("domain")]
  const options: CookieOptions = {
    path: attribute("path") ?? "/",
    httpOnly: attribute("httponly") !== undefined,
    secure: attribute("secure") !== undefined,
    sameSite: (attribute("samesite")?.toLowerCase() ?? "lax") as CookieOptions["sameSite"],
    ...lifetime(maxAge === undefined ? undefined : Number(maxAge)),
    ...(domain !== undefined && { domain }),
    ...(attribute("partitioned") !== undefined && { partitioned: true }),
  }
  return { name: pair.slice(0, separator), value: pair.slice(separator + 1), options }
}
