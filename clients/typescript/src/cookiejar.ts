// The cookies of one request: cookies of the application, and cookies of Watchword, which are passed on unchanged.

/** How the application reads and sets cookies of the current request. */
export interface CookieContext {
  getCookie(name: string): string | undefined
  /**
   * Sets a cookie in the response. Omit this function where cookies can't be set, such as in a server component.
   * Without it, no token is refreshed. An empty value with `maxAge` 0 deletes a cookie.
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
  /** Set to delete a cookie, because Next.js drops a `maxAge` of 0. */
  expires?: Date
  domain?: string
  partitioned?: boolean
}

export interface Jar {
  readonly canSet: boolean
  /** Whether the tokens are in cookies of the application. Otherwise they stay in the cookies of Watchword. */
  readonly isOwn: boolean
  /** Reads a cookie of the application by its short name, such as "access". */
  get(name: string): string | undefined
  /**
   * Sets a cookie of the application. Without `maxAge`, it ends with the browser. It is SameSite=Lax,
   * because browsers do not send a Strict cookie with a redirect from a provider, which is another site.
   */
  set(name: string, value: string, options?: { maxAge?: number | undefined }): void
  remove(name: string): void
  /** Reads a cookie of Watchword, by its full name. */
  getShared(name: string): string | undefined
  /** Sends Watchword's cookies to the browser, unless the tokens are in cookies of the application. */
  passOn(setCookies: readonly string[]): void
}

export function createJar({ getCookie, setCookie }: CookieContext, secure: boolean, isOwn: boolean): Jar {
  // These values replace the values that the browser sent.
  const changedCookies = new Map<string, string>()
  const read = (name: string): string | undefined => (changedCookies.get(name) ?? getCookie(name)) || undefined
  const write = (name: string, value: string, options: CookieOptions): void => {
    changedCookies.set(name, value)
    setCookie?.(name, value, options)
  }
  const full = (name: string): string => `${secure ? "__Host-" : ""}watchword-${name}`
  const get = (name: string): string | undefined => read(full(name))
  const set: Jar["set"] = (name, value, { maxAge } = {}) =>
    write(full(name), value, { path: "/", httpOnly: true, secure, sameSite: "lax", ...lifetime(maxAge) })
  return {
    canSet: setCookie !== undefined,
    isOwn,
    get,
    set,
    remove: (name) => void (get(name) && set(name, "", { maxAge: 0 })),
    getShared: read,
    passOn(setCookies) {
      if (isOwn) return
      for (const { name, value, options } of setCookies.map(parseSetCookie)) write(name, value, options)
    },
  }
}

function lifetime(maxAge: number | undefined): Pick<CookieOptions, "maxAge" | "expires"> {
  if (maxAge === undefined) return {}
  return maxAge === 0 ? { maxAge, expires: new Date(0) } : { maxAge }
}

export interface ParsedCookie {
  name: string
  value: string
  options: CookieOptions
}

/** RFC 6265, section 4.1. */
export function parseSetCookie(header: string): ParsedCookie {
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
