// Sessions of an application that renders on its server, with the real Watchword and verifier.
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest"
import { TokenError, Verifier } from "../../verify/src/index.js"
import { createServerAuth, WatchwordError, type CookieOptions, type ServerAuthOptions } from "../src/server.js"
import { totpCode, signUpWithApp } from "./enrolled.js"
import { startWatchword, type Watchword } from "./watchword.js"

let server: Watchword
const flags = ["--refresh-grace", "1s", "--limits", "off", "--remember-device", "720h", "--cookie-same-site", "lax"]
beforeAll(async () => void (server = await startWatchword(...flags)), 180_000)
afterAll(() => server.stop())

const password = "seven purple otters"
const person = (): { email: string; password: string } => ({ email: `u${crypto.randomUUID()}@example.com`, password })

class Browser {
  readonly jar = new Map<string, string>()
  readonly options = new Map<string, CookieOptions>()
  userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

  /** Starts one request of the browser. If the response is lost, the browser gets no cookies. */
  request({ isLost = false, canSet = true } = {}) {
    const sent = new Map(this.jar)
    const setCookie = (name: string, value: string, options: CookieOptions): void => {
      if (isLost) return
      this.options.set(name, options)
      if (options.maxAge === 0 || value === "") this.jar.delete(name)
      else this.jar.set(name, value)
    }
    const { userAgent } = this
    return {
      getCookie: (name: string) => sent.get(name),
      userAgent,
      address: "203.0.113.7",
      ...(canSet && { setCookie }),
    }
  }
}

function application(options: Partial<ServerAuthOptions<Awaited<ReturnType<Verifier["verify"]>>>> = {}) {
  const verifier = new Verifier(server.url)
  onTestFinished(() => verifier.close())
  const network = { down: false, sent: [] as string[], headers: new Headers() }
  const send = (async (input: string, init: RequestInit) => {
    network.sent.push(new URL(input).pathname)
    network.headers = new Headers(init.headers)
    if (network.down) throw new TypeError("fetch failed")
    return fetch(input, init)
  }) as typeof fetch
  const auth = createServerAuth({ baseUrl: server.url, origin: server.url, verifier, fetch: send, ...options })
  return { auth, network }
}

/** As the browser does when it expires. */
const deleteAccessToken = (browser: Browser): void => void browser.jar.delete("watchword-access")

test("a sign-in sets HttpOnly cookies, and later pages need no request to Watchword", async () => {
  const { auth, network } = application()
  const browser = new Browser()
  expect(await auth(browser.request()).session()).toBeUndefined()
  const body = person()
  const request = auth(browser.request())
  expect(await request.register(body)).toMatchObject({ user: { email: body.email } })
  expect((await request.session())?.subject).toBeTypeOf("string")
  expect([...browser.jar.keys()].sort()).toEqual(["watchword-access", "watchword-device", "watchword-session"])
  for (const options of browser.options.values()) {
    expect(options).toMatchObject({
      httpOnly: true,
      sameSite: "lax",
      path: "/",
      maxAge: expect.any(Number) as number,
    })
  }
  network.sent.length = 0
  const page = auth(browser.request({ canSet: false }))
  const found = await Promise.all(Array.from({ length: 5 }, () => page.requireSession()))
  expect(new Set(found.map((one) => one.sessionId)).size).toBe(1)
  expect(network.sent).toEqual([])
  const account = await page.me<{ plan?: string }>()
  expect(account).toMatchObject({ email: body.email, metadata: {} })
  expect(account.metadata.plan).toBeUndefined()
})

test("a stale token is refreshed only where cookies can be set", async () => {
  const { auth, network } = application()
  const browser = new Browser()
  await auth(browser.request()).register(person())
  deleteAccessToken(browser)
  network.sent.length = 0
  const component = auth(browser.request({ canSet: false }))
  expect(await component.session()).toBeUndefined()
  await expect(component.requireSession()).rejects.toMatchObject({ code: "TOKEN_EXPIRED" })
  expect(network.sent).toEqual([])
  expect(await auth(browser.request()).session()).toBeDefined()
  expect(browser.jar.has("watchword-access")).toBe(true)
  await expect(auth(new Browser().request()).requireSession()).rejects.toMatchObject({ code: "TOKEN_MISSING" })
})

test("twenty requests of a render share one refresh", async () => {
  const { auth, network } = application()
  const browser = new Browser()
  await auth(browser.request()).register(person())
  deleteAccessToken(browser)
  network.sent.length = 0
  const requests = Array.from({ length: 20 }, () => browser.request())
  const found = await Promise.all(requests.map((request) => auth(request).session()))
  expect(new Set(found.map((one) => one?.sessionId)).size).toBe(1)
  expect(network.sent).toEqual(["/api/auth/refresh"])
})

test("a network failure keeps the cookies and is an error, not a sign-out", async () => {
  const { auth, network } = application()
  const browser = new Browser()
  await auth(browser.request()).register(person())
  deleteAccessToken(browser)
  network.down = true
  await expect(auth(browser.request()).session()).rejects.toMatchObject({ code: "NETWORK" })
  expect(browser.jar.has("watchword-session")).toBe(true)
  network.down = false
  expect(await auth(browser.request()).session()).toBeDefined()
})

async function survivesALostResponse(browser: Browser): Promise<boolean> {
  // Each call of application simulates another process, which does not know the refreshes of the other processes.
  deleteAccessToken(browser)
  expect(await application().auth(browser.request()).session()).toBeDefined()
  deleteAccessToken(browser)
  expect(
    await application()
      .auth(browser.request({ isLost: true }))
      .session(),
  ).toBeDefined()
  await new Promise((resolve) => setTimeout(resolve, 1_100)) // longer than the grace period
  return (await application().auth(browser.request()).session()) !== undefined
}

test("a response that is lost on the way to the browser signs nobody out", async () => {
  const browser = new Browser()
  await application().auth(browser.request()).register(person())
  for (let round = 0; round < 3; round++) expect(await survivesALostResponse(browser)).toBe(true)
}, 30_000)

test("the user agent is forwarded: with another one, a late token counts as copied", async () => {
  const browser = new Browser()
  await application().auth(browser.request()).register(person())
  const request = browser.request.bind(browser)
  let count = 0
  browser.request = (how) => ({ ...request(how), userAgent: ++count === 3 ? "thief/1.0" : browser.userAgent })
  expect(await survivesALostResponse(browser)).toBe(false)
}, 30_000)

test("a session that ended elsewhere clears the cookies", async () => {
  const { auth } = application()
  const [browser, other, body] = [new Browser(), new Browser(), person()]
  await auth(browser.request()).register(body)
  await auth(other.request()).login(body)
  await auth(other.request()).logout({ everywhere: true })
  expect([...other.jar.keys()]).toEqual(["watchword-device"])
  expect(other.options.get("watchword-session")).toMatchObject({ maxAge: 0, expires: new Date(0) })
  deleteAccessToken(browser)
  expect(await auth(browser.request()).session()).toBeUndefined()
  expect([...browser.jar.keys()]).toEqual(["watchword-device"])
})

test("a session that ended after a shared refresh is not restored by its outcome", async () => {
  const { auth, network } = application()
  const [browser, other, body] = [new Browser(), new Browser(), person()]
  await auth(browser.request()).register(body)
  await auth(other.request()).login(body)
  deleteAccessToken(browser)
  const late = browser.request() // has the refresh token that the next request rotates
  expect(await auth(browser.request()).session()).toBeDefined()
  const current = auth(browser.request({ canSet: false }))
  await current.requireSession()
  await auth(other.request()).logout({ everywhere: true })
  const hasEnded = async (): Promise<boolean> =>
    (await auth(browser.request({ canSet: false })).session()) === undefined
  while (!(await hasEnded())) await new Promise((resolve) => setTimeout(resolve, 20))
  network.sent.length = 0
  expect(await auth(late).session()).toBeUndefined()
  expect(network.sent).toEqual([])
  expect(browser.jar.has("watchword-session")).toBe(false)
})

test("signing out ends the session, and works without an access token and twice", async () => {
  const { auth } = application()
  const [browser, body] = [new Browser(), person()]
  await auth(browser.request()).register(body)
  const stolen = new Browser()
  for (const [name, value] of browser.jar) stolen.jar.set(name, value)
  deleteAccessToken(browser)
  const request = auth(browser.request())
  await request.logout()
  expect(await request.session()).toBeUndefined()
  await auth(browser.request()).logout()
  deleteAccessToken(stolen)
  expect(await auth(stolen.request()).session()).toBeUndefined()
})

test("without remember, the cookies end with the browser, also after a refresh", async () => {
  const { auth } = application()
  const [browser, body] = [new Browser(), person()]
  await auth(browser.request()).register(body)
  await auth(browser.request()).login({ ...body, remember: false })
  expect(browser.options.get("watchword-session")?.maxAge).toBeUndefined()
  deleteAccessToken(browser)
  expect(await auth(browser.request()).session()).toBeDefined()
  expect(browser.options.get("watchword-session")?.maxAge).toBeUndefined()
})

test("the server's settings decide how long a session lasts, not a cookie of the application", async () => {
  const { auth } = application()
  const [browser, longest] = [new Browser(), 400 * 24 * 3600] // seconds: browsers keep no cookie longer
  await auth(browser.request()).register(person())
  expect(browser.options.get("watchword-session")?.maxAge).toBe(longest)
  browser.options.clear()
  deleteAccessToken(browser)
  expect(await auth(browser.request()).session()).toBeDefined()
  expect(browser.options.get("watchword-session")?.maxAge).toBe(longest)
})

test("with a rewrite or cookie-domain, the refresh cookie is Watchword's own", async () => {
  const { auth } = application({ refreshCookie: "watchword" })
  const browser = new Browser()
  await auth(browser.request()).register(person())
  expect(browser.jar.get("watchword")).toMatch(/^wwr_/)
  expect(browser.options.get("watchword")).toMatchObject({ httpOnly: true, sameSite: "lax" })
  expect(browser.jar.has("watchword-session")).toBe(false)
  const before = browser.jar.get("watchword")
  deleteAccessToken(browser)
  expect(await auth(browser.request()).session()).toBeDefined()
  expect(browser.jar.get("watchword")).not.toBe(before)
  await auth(browser.request()).logout()
  expect(browser.jar.has("watchword")).toBe(false)
})

test("the access token is sent to listed origins only", async () => {
  const { auth } = application()
  const browser = new Browser()
  await auth(browser.request()).register(person())
  await expect(auth(browser.request()).fetch("https://evil.example/")).rejects.toMatchObject({ code: "CROSS_ORIGIN" })
  const response = await auth(browser.request()).fetch(`${server.url}/api/auth/sessions`)
  expect(response.status).toBe(200)
})

test("requests to Watchword name the browser, and requests to other services do not", async () => {
  const other = createServer((request, response) => response.end(JSON.stringify(request.headers)))
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => void other.close())
  const otherUrl = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
  const { auth, network } = application({ origins: [otherUrl] })
  const browser = new Browser()
  await auth(browser.request()).register(person())
  const request = auth(browser.request())
  await request.fetch(`${server.url}/api/auth/sessions`)
  const named = { "user-agent": browser.userAgent, "x-forwarded-for": "203.0.113.7", origin: server.url }
  expect(Object.fromEntries(network.headers)).toMatchObject(named)
  const received = (await (await request.fetch(otherUrl)).json()) as Record<string, string>
  expect(received.authorization).toMatch(/^Bearer /)
  expect(received).not.toHaveProperty("x-forwarded-for")
})

test.each([
  "login",
  "register",
  "refresh",
  "providers",
])("the first limited %s warns of a shared budget", async (path) => {
  const [browser, body, warnings] = [new Browser(), person(), [] as string[]]
  await application().auth(browser.request()).register(body)
  const { auth } = application({
    warn: (message) => void warnings.push(message),
    fetch: (async (input: string, init: RequestInit) =>
      input.endsWith(path) ? Response.json({}, { status: 429 }) : fetch(input, init)) as typeof fetch,
  })
  const calls: Record<string, () => Promise<unknown>> = {
    login: () => auth(browser.request()).login(body),
    register: () => auth(browser.request()).register(body),
    refresh: () => auth(browser.request()).session(),
    providers: () => auth(browser.request()).providers(),
  }
  expect(await auth(browser.request()).session()).toBeDefined()
  expect(warnings).toEqual([])
  deleteAccessToken(browser)
  for (let i = 0; i < 2; i++) await expect(calls[path]?.()).rejects.toMatchObject({ code: "RATE_LIMITED" })
  expect(warnings).toEqual([expect.stringContaining("trusted-proxies")])
})

test.each([
  "strict",
  "lax",
])("a refresh cookie that the application reads must not be Strict: it is %s", async (site) => {
  const other = await startWatchword("--cookie-same-site", site)
  onTestFinished(() => other.stop())
  const verifier = new Verifier(other.url)
  onTestFinished(() => verifier.close())
  for (const refreshCookie of ["own", "watchword"]) {
    const [browser, body, warnings] = [new Browser(), person(), [] as string[]]
    const warn = (message: string): void => void warnings.push(message)
    const { auth } = application({ baseUrl: other.url, origin: other.url, verifier, refreshCookie, warn })
    await auth(browser.request()).register(body)
    await auth(browser.request()).login(body)
    const isWrong = site === "strict" && refreshCookie === "watchword"
    expect(warnings).toEqual(isWrong ? [expect.stringContaining("cookie-same-site=lax")] : [])
  }
}, 60_000)

test("a token with a short life is not refreshed by each request", async () => {
  const short = await startWatchword("--access-ttl", "10s", "--limits", "off")
  onTestFinished(() => short.stop())
  const verifier = new Verifier(short.url)
  onTestFinished(() => verifier.close())
  const { auth, network } = application({ baseUrl: short.url, origin: short.url, verifier })
  const browser = new Browser()
  await auth(browser.request()).register(person())
  network.sent.length = 0
  for (let page = 0; page < 3; page++) expect(await auth(browser.request()).session()).toBeDefined()
  expect(network.sent).toEqual([])
}, 180_000)

test("errors are recognized over several copies of the packages, as bundles have them", async () => {
  vi.resetModules()
  const copy = await import("../src/server.js")
  const verify = await import("../../verify/src/index.js")
  expect(copy.WatchwordError).not.toBe(WatchwordError)
  const error: unknown = new copy.WatchwordError("TOKEN_MISSING", "Sign in first.")
  expect(error instanceof WatchwordError && error.code).toBe("TOKEN_MISSING")
  expect(new Error("other") instanceof WatchwordError).toBe(false)
  expect(new verify.TokenError("TOKEN_EXPIRED") instanceof TokenError).toBe(true)
  expect(Object.assign(new Error("other"), { name: "TokenError", code: "ETOKEN" }) instanceof TokenError).toBe(false)
})

/** The two places where an application can keep the session's tokens, and the name of the session cookie. */
const layouts = [
  { name: "its own cookies", refreshCookie: "own", session: "watchword-session" },
  { name: "Watchword's cookies", refreshCookie: "watchword", session: "watchword" },
] as const

test.each(layouts)("a second factor completes a sign-in over several requests, with $name", async (layout) => {
  const { auth } = application({ refreshCookie: layout.refreshCookie })
  const { email, codes, secret } = await signUpWithApp(server, person())
  const browser = new Browser()
  const error: unknown = await auth(browser.request())
    .login({ email, password, remember: false })
    .catch((e: unknown) => e)
  expect(error).toMatchObject({
    code: "SECOND_FACTOR_REQUIRED",
    status: 403,
    challenge: { methods: ["totp", "recovery"] },
  })
  expect(JSON.stringify(error)).not.toContain("wwc_")
  expect(browser.jar.has("watchword-access") || browser.jar.has(layout.session)).toBe(false)
  expect(browser.options.get("watchword-challenge")).toMatchObject({ httpOnly: true, sameSite: "lax", maxAge: 600 })

  const page = auth(browser.request({ canSet: false }))
  expect(page.challenge()).toMatchObject({ methods: ["totp", "recovery"], rememberFor: 720 * 3600 })
  expect(page.challenge()?.expiresIn).toBeGreaterThan(500)
  expect(JSON.stringify(page.challenge())).not.toContain("wwc_")
  expect(await page.session()).toBeUndefined()
  await expect(page.loginFactor({ totp: "123456" })).rejects.toThrow(TypeError)
  await expect(auth(browser.request()).loginFactor({ totp: "abc" })).rejects.toMatchObject({ code: "FACTOR_WRONG" })

  const request = auth(browser.request())
  const before = new Map(browser.jar)
  expect(await request.loginFactor({ totp: totpCode(secret, 1) })).toMatchObject({ user: { email } })
  expect((await request.session())?.subject).toBeTypeOf("string")
  expect(request.challenge()).toBeUndefined()
  expect([...browser.jar.keys()].filter((name) => /step|challenge|remembered/.test(name))).toEqual([])
  expect(browser.options.get(layout.session)?.maxAge).toBeUndefined() // remember: false
  deleteAccessToken(browser)
  expect(await auth(browser.request()).session()).toBeDefined()

  const copy = new Browser() // a browser that uses the challenge a second time
  for (const [name, value] of before) copy.jar.set(name, value)
  const again = auth(copy.request()).loginFactor({ recoveryCode: codes[1] ?? "" })
  await expect(again).rejects.toMatchObject({ code: "CHALLENGE_INVALID", status: 401 })
  expect(auth(copy.request()).challenge()).toBeUndefined()
})

test.each(layouts)("a remembered browser signs in without the factor, with $name", async (layout) => {
  const { auth } = application({ refreshCookie: layout.refreshCookie })
  const { email, codes } = await signUpWithApp(server, person())
  const [browser, other] = [new Browser(), new Browser()]
  const refused = { code: "SECOND_FACTOR_REQUIRED" }
  await expect(auth(browser.request()).login({ email, password })).rejects.toMatchObject(refused)
  await auth(browser.request()).loginFactor({ recoveryCode: codes[1] ?? "", rememberDevice: true })
  const [remembered, sameSite] =
    layout.refreshCookie === "own" ? ["watchword-remembered", "lax"] : ["watchword-device", "strict"]
  expect(browser.options.get(remembered)).toMatchObject({ httpOnly: true, sameSite, maxAge: 720 * 3600 })
  expect(browser.options.get(layout.session)?.maxAge).toBeGreaterThan(24 * 3600)

  await auth(browser.request()).logout()
  expect(await auth(browser.request()).login({ email, password })).toMatchObject({ user: { email } })
  await expect(auth(other.request()).login({ email, password })).rejects.toMatchObject(refused)
  await auth(browser.request()).logout({ everywhere: true })
  await expect(auth(browser.request()).login({ email, password })).rejects.toMatchObject(refused)
})

// RT-16
test.each(layouts)("a sign-in ends the session that it replaces in the browser, with $name", async (layout) => {
  const { auth, network } = application({ refreshCookie: layout.refreshCookie })
  const { email, codes } = await signUpWithApp(server, person())
  const [browser, other, body] = [new Browser(), new Browser(), person()]
  const live = async (): Promise<number> => {
    const response = await auth(browser.request()).fetch(`${server.url}/api/auth/sessions`)
    return ((await response.json()) as { sessions: unknown[] }).sessions.length
  }
  await auth(browser.request()).register(body)
  await auth(browser.request()).login(body)
  await auth(other.request()).login(body)
  expect(await live()).toBe(2)
  await expect(auth(browser.request()).login({ email, password: "another" })).rejects.toThrow()
  await expect(auth(browser.request()).login({ email, password })).rejects.toMatchObject({
    code: "SECOND_FACTOR_REQUIRED",
  })
  expect(await live()).toBe(2) // a refused or unfinished sign-in ends no session
  const before = new Browser()
  for (const [name, value] of browser.jar) before.jar.set(name, value)
  await auth(browser.request()).loginFactor({ recoveryCode: codes[1] ?? "" })
  deleteAccessToken(before)
  expect(await application({ refreshCookie: layout.refreshCookie }).auth(before.request()).session()).toBeUndefined()
  network.sent.length = 0
  await auth(other.request()).logout()
  await auth(other.request()).login(body)
  expect(network.sent).toEqual(["/api/auth/logout", "/api/auth/login"]) // the sign-in ends no earlier session
})

test("a sign-in succeeds although the session that it replaces can't be ended", async () => {
  const { auth } = application({
    fetch: ((input: string, init: RequestInit) =>
      input.endsWith("/logout") ? Promise.reject(new TypeError("fetch failed")) : fetch(input, init)) as typeof fetch,
  })
  const [browser, body] = [new Browser(), person()]
  await auth(browser.request()).register(body)
  expect(await auth(browser.request()).login(body)).toMatchObject({ user: { email: body.email } })
  expect(await auth(browser.request()).session()).toBeDefined()
})

test("a browser without a challenge can't complete a sign-in, whatever its cookie says", async () => {
  const { auth, network } = application()
  const until = Math.floor(Date.now() / 1000) + 600
  const encoded = (value: unknown): string => `${until}.${Buffer.from(JSON.stringify(value)).toString("base64url")}`
  const forged = { methods: ["totp"], handle: "wwc_x; watchword=stolen" }
  for (const value of [undefined, "", "x", `${until}.x`, encoded(null), encoded({}), encoded(forged)]) {
    const browser = new Browser()
    if (value !== undefined) browser.jar.set("watchword-challenge", value)
    const completed = auth(browser.request()).loginFactor({ totp: "123456" })
    await expect(completed).rejects.toMatchObject({ code: "CHALLENGE_INVALID" })
    expect(network.headers.get("Cookie")).toBeNull()
  }
  const browser = new Browser()
  browser.jar.set("watchword-challenge", encoded({ methods: ["totp"] }).replace(String(until), "1"))
  expect(auth(browser.request()).challenge()).toBeUndefined()
})

test.each(layouts)("a sign-in waits for the first factor over several requests, with $name", async (layout) => {
  const strict = await startWatchword("--second-factor", "required", "--limits", "off", "--cookie-same-site", "lax")
  onTestFinished(() => strict.stop())
  const verifier = new Verifier(strict.url)
  onTestFinished(() => verifier.close())
  const { refreshCookie } = layout
  const { auth, network } = application({ baseUrl: strict.url, origin: strict.url, verifier, refreshCookie })
  const [browser, body] = [new Browser(), person()]
  expect(await auth(browser.request()).register(body)).toHaveProperty("message")
  await strict.runCommand("users", "verify", body.email)
  const error: unknown = await auth(browser.request()).login({ ...body, remember: false }).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(WatchwordError)
  expect(error).toMatchObject({ code: "ENROLMENT_REQUIRED", status: 403, challenge: { methods: ["totp"] } })
  expect(JSON.stringify(error)).not.toContain("wwc_")

  const page = auth(browser.request({ canSet: false }))
  expect(page.enrolment()).toMatchObject({ methods: ["totp"], expiresIn: expect.any(Number) as number })
  expect(JSON.stringify(page.enrolment())).not.toContain("wwc_")
  expect(page.challenge()).toBeUndefined()
  expect(await page.session()).toBeUndefined()
  await expect(page.beginTOTP()).rejects.toThrow(TypeError)
  const { id, secret, qr } = await auth(browser.request()).beginTOTP()
  expect(qr).toContain("<svg")
  const confirm = (one: Browser, code: string) => auth(one.request()).confirmTOTP(id, { code })
  await expect(confirm(browser, "abc")).rejects.toMatchObject({ code: "FACTOR_WRONG" })
  network.sent.length = 0
  await expect(confirm(new Browser(), totpCode(secret))).rejects.toMatchObject({ code: "CHALLENGE_INVALID" })
  expect(network.sent).toEqual([])

  const request = auth(browser.request())
  const before = new Map(browser.jar)
  const done = await request.confirmTOTP(id, { code: totpCode(secret) })
  expect(done).toMatchObject({ user: { email: body.email }, factor: { kind: "totp" } })
  expect(done.recoveryCodes).toHaveLength(10)
  expect(Object.keys(done).sort()).toEqual(["factor", "recoveryCodes", "user"])
  expect((await request.session())?.subject).toBeTypeOf("string")
  expect(request.enrolment()).toBeUndefined()
  expect([...browser.jar.keys()].filter((name) => /step|challenge/.test(name))).toEqual([])
  expect(browser.options.get(layout.session)?.maxAge).toBeUndefined() // remember: false

  const copy = new Browser() // a browser that uses the challenge a second time
  for (const [name, value] of before) copy.jar.set(name, value)
  await expect(auth(copy.request()).beginTOTP()).rejects.toMatchObject({ code: "CHALLENGE_INVALID", status: 401 })
  expect(auth(copy.request()).enrolment()).toBeUndefined()

  await request.logout()
  await expect(auth(browser.request()).login(body)).rejects.toMatchObject({ code: "SECOND_FACTOR_REQUIRED" })
  expect(auth(browser.request()).enrolment()).toBeUndefined()
  expect(auth(browser.request()).challenge()).toMatchObject({ methods: ["totp", "recovery"] })
  await expect(auth(browser.request()).beginTOTP()).rejects.toMatchObject({ code: "CHALLENGE_INVALID" })
  const again = { recoveryCode: done.recoveryCodes?.[0] ?? "" }
  expect(await auth(browser.request()).loginFactor(again)).toMatchObject({ user: { email: body.email } })
}, 60_000)
