// The cookies of an application that renders on its server.

import type { Challenge, SignIn } from "./api.js"
import { decodeChallenge, encodeChallenge } from "./challenge.js"

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
  /** The Cookie header of a sign-in or sign-out, with the names that Watchword gives its cookies. */
  forwarded(): string
  /**
   * Stores the tokens of a response. `setCookies` are its Set-Cookie headers. A refresh keeps whether
   * the cookies survive the browser.
   */
  save(response: SignIn, setCookies: readonly string[]): void
  clear(setCookies: readonly string[]): void
  /** Stores the challenge of a sign-in that needs a second factor. */
  keepChallenge(challenge: Challenge, setCookies: readonly string[]): void
  challenge(): Challenge | undefined
  endChallenge(setCookies: readonly string[]): void
  /** Stores the verifier of a way to a provider, and returns the number of its cookie. */
  keepVerifier(verifier: string): string
  /** Returns the verifier of a number, and deletes its cookie. */
  takeVerifier(number: string): string | undefined
  /** Stores what connects the account at a provider after the next sign-in. */
  keepLink(setCookies: readonly string[]): void
}

/** Marks the refresh token of a session that ends with the browser, so that a refresh keeps that. */
const temporary = "temporary."

const attemptAge = 10 * 60 // Watchword gives the user as long at the provider
const verifiers = ["0", "1", "2", "3", "4"] // the numbers of their cookies

const deviceAge = 400 * 24 * 60 * 60 // the longest that browsers keep a cookie
const refreshAge = 30 * 24 * 60 * 60 // the longest life of a session under the defaults; the server decides

/** How the tokens in Watchword's cookies begin. The names of the cookies depend on its settings. */
const beginnings = { refresh: "wwr_", device: "wwd_", step: "wwc_", remembered: "wwb_" }

/** @param refreshCookie "own", or the name of Watchword's cookie that the browser also sends here */
export function createCookies(context: CookieContext, secure: boolean, refreshCookie: string): AppCookies {
  const jar = createJar(context, secure)
  const prefix = secure ? "__Host-watchword" : "watchword"
  // Only cookies that the browser sends to both go on to it.
  const kept: Kept =
    refreshCookie === "own"
      ? { ...jar, prefix, shared: undefined, pass: () => undefined }
      : { ...jar, prefix, shared: refreshCookie }
  const challenge = challengeCookies(kept)
  return {
    canSet: context.setCookie !== undefined,
    ...sessionCookies(kept, challenge.endChallenge),
    ...challenge,
    ...attemptCookies(kept),
    forwarded() {
      const { get, shared } = kept
      const step = decodeChallenge(get(`${prefix}-challenge`))?.handle
      const mine = { step, device: get(`${prefix}-remembered`), link: get(`${prefix}-connect`) }
      const pairs = (["step", "device", "link"] as const).flatMap((name) => {
        // Without https, its names have no prefix. It ignores the other name.
        const names = [`__Host-watchword-${name}`, `watchword-${name}`]
        return names.map((full) => [full, shared ? get(full) : mine[name]] as const)
      })
      const names = shared ? [shared, `${shared}-known`] : []
      return headerOf([...names.map((name) => [name, get(name)] as const), ...pairs])
    },
  }
}

/** Where the cookies are kept. */
interface Kept extends Jar {
  /** How the names of the application's cookies begin. */
  prefix: string
  /** Watchword's refresh cookie, if the browser also sends it here. Absent: the application keeps the tokens. */
  shared: string | undefined
}

/** The cookies of a session, and of a browser that Watchword knows. */
function sessionCookies(
  { get, set, pass, prefix, shared }: Kept,
  endChallenge: AppCookies["endChallenge"],
): Pick<AppCookies, "access" | "refresh" | "device" | "save" | "clear"> {
  const [accessName, sessionName, deviceName] = [`${prefix}-access`, `${prefix}-session`, `${prefix}-device`]

  /** Stores the tokens that a sign-in returned in cookies. */
  function keep(setCookies: readonly string[]): void {
    const { refresh, device, remembered } = tokensIn(setCookies)
    if (refresh?.options.maxAge !== undefined) set(sessionName, refresh.value, refreshAge)
    else if (refresh) set(sessionName, temporary + refresh.value)
    if (device) set(deviceName, device.value, deviceAge)
    if (remembered) set(`${prefix}-remembered`, remembered.value, remembered.options.maxAge, "strict")
  }
  return {
    access: () => get(accessName),
    refresh: () => (shared ? get(shared) : get(sessionName)?.replace(temporary, "")),
    device: () => (shared ? undefined : get(deviceName)),
    save({ accessToken, expiresIn, refreshToken }, setCookies) {
      set(accessName, accessToken, expiresIn)
      if (!shared) {
        const isTemporary = get(sessionName)?.startsWith(temporary)
        if (refreshToken && isTemporary) set(sessionName, temporary + refreshToken)
        if (refreshToken && !isTemporary) set(sessionName, refreshToken, refreshAge)
        keep(setCookies)
        if (get(`${prefix}-connect`)) set(`${prefix}-connect`, "", 0)
      }
      endChallenge(setCookies)
    },
    clear(setCookies) {
      for (const name of shared ? [accessName] : [accessName, sessionName]) if (get(name)) set(name, "", 0)
      pass(setCookies)
    },
  }
}

/** The cookie of a sign-in that waits for its second factor. */
function challengeCookies({
  get,
  set,
  pass,
  prefix,
  shared,
}: Kept): Pick<AppCookies, "keepChallenge" | "challenge" | "endChallenge"> {
  const name = `${prefix}-challenge`
  return {
    keepChallenge(challenge, setCookies) {
      pass(setCookies)
      const handle = shared ? undefined : tokensIn(setCookies).step?.value
      set(name, encodeChallenge({ ...challenge, handle }), challenge.expiresIn, "strict")
    },
    challenge: () => decodeChallenge(get(name))?.challenge,
    endChallenge(setCookies) {
      if (get(name)) set(name, "", 0, "strict")
      pass(setCookies)
    },
  }
}

/** The cookies of a way to a provider. */
function attemptCookies({
  get,
  set,
  pass,
  prefix,
  shared,
}: Kept): Pick<AppCookies, "keepVerifier" | "takeVerifier" | "keepLink"> {
  const nameOf = (number: string): string => `${prefix}-verifier-${number}`
  return {
    keepVerifier(verifier) {
      // Of six tabs, one has to start again.
      const number = verifiers.find((one) => !get(nameOf(one))) ?? `${Date.now() % verifiers.length}`
      set(nameOf(number), verifier, attemptAge)
      return number
    },
    takeVerifier(number) {
      const verifier = verifiers.includes(number) ? get(nameOf(number)) : undefined
      if (verifier) set(nameOf(number), "", 0)
      return verifier
    },
    keepLink(setCookies) {
      pass(setCookies)
      const link = setCookies.map(parseSetCookie).find(({ name }) => name.endsWith("watchword-link"))
      if (!shared && link?.value) set(`${prefix}-connect`, link.value, attemptAge)
    },
  }
}

function headerOf(pairs: (readonly [string, string | undefined])[]): string {
  const isToken = (value = ""): boolean => /^[\w.-]+$/.test(value) // a browser can send any text
  return pairs.flatMap(([name, value]) => (isToken(value) ? [`${name}=${value}`] : [])).join("; ")
}

interface Jar {
  get(name: string): string | undefined
  set(name: string, value: string, maxAge?: number, sameSite?: CookieOptions["sameSite"]): void
  /** Sets cookies as the headers say. */
  pass(setCookies: readonly string[]): void
}

function createJar({ getCookie, setCookie }: CookieContext, secure: boolean): Jar {
  // A cookie that was set in this request is not in the request: read the new value.
  const changed = new Map<string, string>()
  return {
    get: (name) => (changed.get(name) ?? getCookie(name)) || undefined,
    set(name, value, maxAge, sameSite = "lax") {
      changed.set(name, value)
      setCookie?.(name, value, { path: "/", httpOnly: true, secure, sameSite, ...lifetime(maxAge) })
    },
    pass(setCookies) {
      for (const { name, value, options } of setCookies.map(parseSetCookie)) {
        changed.set(name, value)
        setCookie?.(name, value, options)
      }
    },
  }
}

type Parsed = ReturnType<typeof parseSetCookie>

/** Finds the tokens in the Set-Cookie headers of Watchword. */
function tokensIn(setCookies: readonly string[]): Partial<Record<keyof typeof beginnings, Parsed>> {
  const all = setCookies.map(parseSetCookie)
  const found = Object.entries(beginnings).map(([kind, beginning]) => {
    return [kind, all.find(({ value }) => value.startsWith(beginning))] as const
  })
  return Object.fromEntries(found.filter(([, cookie]) => cookie))
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
