// Sign-in with an external provider: the real server and npm's oidc-provider. The test acts as
// the browser: it follows redirects, stores cookies, and opens the page of a popup.
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest"
import { Verifier } from "../../verify/src/index.js"
import { createClient, type Client } from "../src/index.js"
import { createProviders, type Providers } from "../src/providers.js"
import { createServerAuth, WatchwordError, type RequestAuth, type TokenIdentity } from "../src/server.js"
import { closeAfterTest } from "./browser.js"
import { totpCode, signUpWithApp } from "./enrolled.js"
import { startWatchword, type Watchword } from "./watchword.js"

const app = "http://localhost:5999"
const password = "seven purple otters"
let folder = ""
let issuer = ""
let provider: ChildProcess
let server: Watchword
let hasFocus = true // whether the page that opened a popup has the focus

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "watchword-providers-"))
  const script = join(import.meta.dirname, "provider.js")
  provider = spawn(process.execPath, [script, "watchword", "a secret for tests"], {
    stdio: ["ignore", "pipe", "ignore"],
  })
  const [printed] = (await once(provider.stdout as NodeJS.ReadableStream, "data")) as [Buffer]
  issuer = printed.toString().replace("listening on ", "").trim()
  await writeFile(join(folder, "secret"), "a secret for tests")
  const acme = { id: "acme", kind: "oidc", name: "Acme", issuer, "client-id": "watchword", "trust-email": true }
  const list = [{ ...acme, "client-secret-file": join(folder, "secret") }]
  await writeFile(join(folder, "watchword.yaml"), JSON.stringify({ "sign-in-with": list })) // JSON is YAML
  server = await startWatchword("--config", join(folder, "watchword.yaml"), "--allowed-origins", app)
  await fetch(`${issuer}/test/redirect`, { method: "PUT", body: `${server.url}/sign-in/acme/callback` })
}, 180_000)

afterAll(async () => {
  provider.kill()
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

beforeEach(() => {
  vi.stubGlobal("history", {
    state: null,
    replaceState: (_: unknown, __: string, url: string | URL) => go(new URL(url, location.href).href),
  })
  hasFocus = true
  vi.stubGlobal("document", Object.assign(new EventTarget(), { hasFocus: () => hasFocus, visibilityState: "visible" }))
  for (const name of ["addEventListener", "close"]) vi.stubGlobal(name, () => {})
  for (const name of ["screenX", "screenY", "outerWidth", "outerHeight"]) vi.stubGlobal(name, 100)
})

const setProviderUser = (user: object): Promise<Response> =>
  fetch(`${issuer}/test/user`, { method: "PUT", body: JSON.stringify(user) })

const go = (href: string): void => void vi.stubGlobal("location", Object.assign(new URL(href), { assign: () => {} }))

class Browser {
  private readonly jars = new Map<string, Map<string, string>>() // by origin

  readonly fetch: typeof fetch = async (input, init) => {
    const { origin } = new URL(String(input))
    const jar = this.jars.get(origin) ?? new Map<string, string>()
    this.jars.set(origin, jar)
    const headers = new Headers(init?.headers)
    headers.set("Cookie", [...jar].map(([name, value]) => `${name}=${value}`).join("; "))
    if (init?.credentials) headers.set("Origin", app)
    const response = await fetch(input, { ...init, headers })
    for (const set of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(set) ?? []
      if (value) jar.set(name, value)
      else jar.delete(name)
    }
    return response
  }

  /** Follows redirects until one leads to the application, and returns this URL. */
  async follow(url: string): Promise<string> {
    for (let at = url, count = 0; count < 12; count++) {
      if (new URL(at).origin === app) return at
      const response = await this.fetch(at, { redirect: "manual" })
      const next = response.headers.get("Location")
      if (!next) throw new Error(`no redirect at ${at}: ${response.status} ${await response.text()}`)
      at = new URL(next, at).href
    }
    throw new Error("too many redirects")
  }

  page(href = `${app}/start`): { client: Client; providers: Providers } {
    go(href)
    const client = closeAfterTest(createClient({ baseUrl: server.url, fetch: this.fetch }))
    return { client, providers: createProviders(client) }
  }
}

/**
 * Returns the URL that the call navigates to. The call's own promise stays pending, because a real page would be
 * left.
 */
function urlOfCall(call: () => Promise<unknown>): Promise<string> {
  return new Promise((assign, reject) => {
    vi.stubGlobal("location", Object.assign(new URL(location.href), { assign }))
    call().catch(reject)
  })
}

/** Simulates window.open. Each popup follows its URL, and the page at the end loads as in a real popup. */
function simulatePopups(browser: Browser, behaves: "well" | "is blocked" | "is closed" | "looks closed" = "well") {
  const windows: { closed: boolean; visited: string }[] = []
  vi.stubGlobal("open", () => {
    if (behaves === "is blocked") return null
    const popup = { closed: false, visited: "", close: () => void (popup.closed = true), location: { replace: visit } }
    async function visit(url: string): Promise<void> {
      popup.closed = behaves !== "well"
      if (behaves === "is closed") return
      hasFocus = false // the popup has the focus
      popup.visited = await browser.follow(url)
      const before = location.href
      vi.stubGlobal("close", popup.close)
      browser.page(popup.visited)
      go(before)
    }
    windows.push(popup)
    return popup
  })
  return windows
}

test("a redirect to a provider signs in a new user", async () => {
  await setProviderUser({ sub: "one", email: "one@example.com", email_verified: true, name: "One" })
  const browser = new Browser()
  const { client, providers } = browser.page(`${app}/start?a=1#/sign-in`)
  expect(await providers.list()).toEqual({
    providers: [{ id: "acme", name: "Acme", kind: "oidc", url: `${server.url}/sign-in/acme` }],
  })
  const back = await browser.follow(await urlOfCall(() => providers.signInWith("acme")))
  expect(back).toBe(`${app}/start?a=1`)
  const again = browser.page(back)
  expect(again.providers.takeError()).toBeUndefined()
  expect(await again.client.restore()).toMatchObject({
    status: "signedIn",
    user: { email: "one@example.com", name: "One" },
  })
  expect((await again.providers.identities()).identities).toMatchObject([
    { provider: "acme", email: "one@example.com" },
  ])
  expect(client.getSnapshot().status).toBe("unknown")
})

// PROVIDER_REFUSED also covers a missing address, and a tenant that is not allowed to sign in.
const providerRefusal = { code: "PROVIDER_REFUSED", message: expect.stringContaining("was not completed") as string }

test("a redirect that failed says why, once", async () => {
  await setProviderUser({ deny: true })
  const browser = new Browser()
  const { providers } = browser.page()
  const back = await browser.follow(await urlOfCall(() => providers.signInWith("acme", { returnTo: "/other" })))
  expect(back).toBe(`${app}/other#error=PROVIDER_REFUSED`)
  const again = browser.page(back)
  expect(again.providers.takeError()).toMatchObject(providerRefusal)
  expect(location.href).toBe(`${app}/other`)
  expect(again.providers.takeError()).toBeUndefined()
  go(`${app}/#error=BUY_NOW`) // the link of a stranger can't show its own text
  expect(again.providers.takeError()).toMatchObject({ code: "INTERNAL" })
})

test.each([
  "PROVIDER_REFUSED", "PROVIDER_UNAVAILABLE", "LINK_REQUIRED", "IDENTITY_TAKEN", "CHALLENGE_INVALID", "SIGNUP_CLOSED",
  "ACCOUNT_DISABLED", "EMAIL_NOT_VERIFIED", "EMAIL_TAKEN", "FACTOR_LIMIT", "RATE_LIMITED", "TRY_LATER",
])("a redirect can end with %s", (code) => {
  go(`${app}/#error=${code}`)
  expect(createProviders(createClient({ baseUrl: server.url })).takeError()).toMatchObject({ code })
})

test("a popup signs in, reports and closes", async () => {
  await setProviderUser({ sub: "two", email: "two@example.com", email_verified: true, name: "Two" })
  for (const behaves of ["well", "looks closed"] as const) {
    const browser = new Browser()
    const { client, providers } = browser.page()
    const windows = simulatePopups(browser, behaves)
    expect(await providers.signInWith("acme", { mode: "popup", returnTo: "/popup" })).toMatchObject({
      user: { name: "Two" },
    })
    expect(client.getSnapshot()).toMatchObject({ status: "signedIn" })
    expect(windows[0]?.visited).toMatch(/^http:\/\/localhost:5999\/popup\?watchword-popup=[\w-]{36}$/)
    await expect.poll(() => windows[0]?.closed).toBe(true)
    hasFocus = true
  }
})

test("a popup that is blocked, closed or refused is an outcome of its own", async () => {
  const browser = new Browser()
  const { client, providers } = browser.page()
  simulatePopups(browser, "is blocked")
  expect(await providers.signInWith("acme", { mode: "popup" })).toEqual({ cancelled: "blocked" })
  simulatePopups(browser, "is closed")
  expect(await providers.signInWith("acme", { mode: "popup" })).toEqual({ cancelled: "closed" })
  expect(client.getSnapshot().status).toBe("signedOut")

  await client.register({ email: "three@example.com", password })
  await client.logout()
  await setProviderUser({ sub: "three", email: "four@example.com", email_verified: false, name: "Three" })
  simulatePopups(browser)
  const unverified = providers.signInWith("acme", { mode: "popup" })
  await expect(unverified).rejects.toMatchObject({ code: "EMAIL_NOT_VERIFIED" })
  const program = createClient({
    baseUrl: server.url,
    storage: { get: () => undefined, set: () => {}, remove: () => {} },
  })
  await expect(createProviders(program).signInWith("acme")).rejects.toThrow(TypeError)
})

test("a user connects and disconnects an account at a provider", async () => {
  const browser = new Browser()
  const { client, providers } = browser.page()
  const email = "five@example.com"
  await client.register({ email, password })
  await setProviderUser({ sub: "five", email: "other@example.com", email_verified: true, name: "Five" })
  const windows = simulatePopups(browser)
  const link = (): Promise<unknown> => providers.link("acme", { mode: "popup" })
  await expect(link()).rejects.toMatchObject({ code: "EMAIL_NOT_VERIFIED", status: 403 })
  expect(windows[0]?.closed).toBe(true)
  await client.verifyEmail({ token: await mailedToken(email) })
  expect(await link()).toEqual({ linked: true })
  const [identity] = (await providers.identities()).identities
  expect(identity).toMatchObject({ provider: "acme", email: "other@example.com" })

  expect(await providers.unlink(identity?.id ?? "")).toHaveProperty("message")
  expect(await providers.identities()).toEqual({ identities: [] })
})

async function signUpAndVerify(email: string): Promise<{ browser: Browser; client: Client; providers: Providers }> {
  const browser = new Browser()
  const { client, providers } = browser.page()
  await client.register({ email, password })
  await client.verifyEmail({ token: await mailedToken(email) })
  return { browser, client, providers }
}

test("a redirect connects a provider, and refuses an account of another user", async () => {
  await setProviderUser({ sub: "six", email: "elsewhere@example.com", email_verified: true, name: "Six" })
  const through = async ({ browser, providers }: Awaited<ReturnType<typeof signUpAndVerify>>) => {
    const back = await browser.follow(await urlOfCall(() => providers.link("acme", { returnTo: "/settings?tab=2" })))
    const page = browser.page(back)
    await page.client.restore()
    return { back, ...page }
  }
  const own = await through(await signUpAndVerify("six@example.com"))
  expect(own.back).toBe(`${app}/settings?tab=2`)
  expect(own.providers.takeError()).toBeUndefined()
  const { identities } = await own.providers.identities()
  expect(identities).toMatchObject([{ provider: "acme", email: "elsewhere@example.com" }])

  const stranger = await signUpAndVerify("seven@example.com")
  const refused = await through(stranger)
  expect(refused.back).toBe(`${app}/settings?tab=2#error=IDENTITY_TAKEN`)
  const error = refused.providers.takeError()
  expect(error).toBeInstanceOf(WatchwordError)
  expect(error).toMatchObject({ code: "IDENTITY_TAKEN", message: expect.stringContaining("another account") as string })
  expect(location.href).toBe(`${app}/settings?tab=2`)
  simulatePopups(stranger.browser)
  const popup: unknown = await refused.providers.link("acme", { mode: "popup" }).catch((e: unknown) => e)
  expect(popup).toBeInstanceOf(WatchwordError)
  expect(popup).toMatchObject({ code: "IDENTITY_TAKEN" })
  expect(await refused.providers.identities()).toEqual({ identities: [] })
  expect(refused.client.getSnapshot()).toMatchObject({ status: "signedIn", user: { email: "seven@example.com" } })
})

test("a provider with the address of an account is connected by the next sign-in to it", async () => {
  const email = "eight@example.com"
  await (await signUpAndVerify(email)).client.logout()
  await setProviderUser({ sub: "eight", email, email_verified: true, name: "Eight" })
  const browser = new Browser()
  const { providers } = browser.page()
  const back = await browser.follow(await urlOfCall(() => providers.signInWith("acme")))
  expect(back).toBe(`${app}/start#error=LINK_REQUIRED`)
  const { client, providers: again } = browser.page(back)
  const error = again.takeError()
  expect(error).toBeInstanceOf(WatchwordError)
  expect(error).toMatchObject({
    code: "LINK_REQUIRED",
    message: expect.stringContaining("Sign in to it once") as string,
  })
  simulatePopups(browser)
  const popup: unknown = await again.signInWith("acme", { mode: "popup" }).catch((e: unknown) => e)
  expect(popup).toBeInstanceOf(WatchwordError)
  expect(popup).toMatchObject({ code: "LINK_REQUIRED" })
  expect(await client.restore()).toMatchObject({ status: "signedOut" })

  await client.login({ email, password })
  expect((await again.identities()).identities).toMatchObject([{ provider: "acme", email }])
  await client.logout()
  hasFocus = true
  expect(await again.signInWith("acme", { mode: "popup" })).toMatchObject({ user: { email } })
})

async function mailedToken(to: string): Promise<string> {
  const find = async (): Promise<string> => {
    const mail = (await server.readMails()).find((text) => text.includes(to))
    const token = /#token=([\w-]+)/.exec(mail ?? "")?.[1]
    if (!token) throw new Error(`no mail came to ${to}`)
    return token
  }
  return vi.waitFor(find, { timeout: 20_000, interval: 50 })
}

/** Returns an application that renders on its server, and the cookie jar of its only browser. */
function createRenderingApp(baseUrl = server.url) {
  const verifier = new Verifier(baseUrl)
  onTestFinished(() => verifier.close())
  const auth = createServerAuth({ baseUrl, origin: app, verifier })
  const jar = new Map<string, string>()
  const request = (): RequestAuth<TokenIdentity> =>
    auth({
      userAgent: "Firefox",
      getCookie: (name) => jar.get(name),
      setCookie: (name, value) => void (value ? jar.set(name, value) : jar.delete(name)),
    })
  return { jar, request }
}

test("a server that renders exchanges the code of a provider once", async () => {
  await setProviderUser({ sub: "ssr", email: "ssr@example.com", email_verified: true, name: "Ada" })
  const { jar, request } = createRenderingApp()
  const browser = new Browser()
  expect(await request().providers()).toMatchObject([{ id: "acme", name: "Acme", kind: "oidc" }])
  const [first, second] = [
    await request().signInWith("acme", "/back?to=/inbox"),
    await request().signInWith("acme", "/back"),
  ]
  expect([...jar.keys()]).toEqual(["watchword-verifier-0", "watchword-verifier-1"])
  // The second tab finishes first. Each return URL must contain a code, but no token.
  for (const [started, names] of [[second, ["watchword-verifier-0"]], [first, []]] as const) {
    const back = await browser.follow(started)
    expect([...new URL(back).searchParams.keys()].filter((name) => name !== "to").sort()).toEqual(["attempt", "code"])
    expect(await request().finishSignInWith(back)).toMatchObject({ user: { email: "ssr@example.com" } })
    expect([...jar.keys()].filter((name) => name.includes("verifier"))).toEqual(names)
    expect(await request().session()).toMatchObject({ subject: expect.any(String) as string })
    await expect(request().finishSignInWith(back)).rejects.toMatchObject({ code: "CHALLENGE_INVALID" })
    expect(await request().session()).toBeDefined()
  }
  await expect(request().signInWith("acme", "https://evil.example/")).rejects.toThrow("path of this application")
})

test("a code of another browser is refused and destroyed", async () => {
  await setProviderUser({ sub: "stolen", email: "stolen@example.com", email_verified: true, name: "Ada" })
  const [thief, victim] = [createRenderingApp(), createRenderingApp()]
  // The thief starts a sign-in, and the victim follows the link to the end. The victim's request has the code but not
  // the cookie, so it must fail.
  const back = await new Browser().follow(await thief.request().signInWith("acme", "/back"))
  await expect(victim.request().finishSignInWith(back)).rejects.toMatchObject({ code: "CHALLENGE_INVALID" })
  expect([...victim.jar.keys()]).toEqual([])
  await expect(thief.request().finishSignInWith(back)).rejects.toMatchObject({ code: "CHALLENGE_INVALID" })
  // An error in a URL is accepted only in the browser that started the sign-in, and only if its code is known.
  for (const query of ["error=PROVIDER_REFUSED", "attempt=0&error=PROVIDER_REFUSED", "attempt=__proto__&error=x", ""]) {
    await expect(victim.request().finishSignInWith(`/back?${query}`)).rejects.toMatchObject({
      code: "CHALLENGE_INVALID",
    })
  }
  await setProviderUser({ deny: true })
  const denied = await new Browser().follow(await victim.request().signInWith("acme", "/back"))
  await expect(victim.request().finishSignInWith(denied)).rejects.toMatchObject(providerRefusal)
})

test("a server that renders connects a provider after a sign-in, and asks for the second factor", async () => {
  const email = "own@example.com"
  const { secret, codes } = await signUpWithApp(server, { email, password })
  await setProviderUser({ sub: "own", email, email_verified: true, name: "Ada" })
  const { jar, request } = createRenderingApp()
  const through = async (): Promise<string> => new Browser().follow(await request().signInWith("acme", "/back"))
  const error: unknown = await request().finishSignInWith(await through()).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(WatchwordError)
  expect(error).toMatchObject({ code: "LINK_REQUIRED", message: expect.stringContaining("Sign in") as string })
  expect([...jar.keys()]).toEqual(["watchword-connect"])
  await expect(request().login({ email, password })).rejects.toMatchObject({ code: "SECOND_FACTOR_REQUIRED" })
  await request().loginFactor({ recoveryCode: codes[0] as string })
  expect(jar.has("watchword-connect")).toBe(false)
  await request().logout()
  // The provider is connected now. Its sign-in counts as the first factor only, so the second factor is still
  // required.
  await expect(request().finishSignInWith(await through())).rejects.toMatchObject({ code: "SECOND_FACTOR_REQUIRED" })
  expect(await request().session()).toBeUndefined()
  expect(await request().loginFactor({ totp: totpCode(secret, 1) })).toMatchObject({ user: { email } })
  expect(await request().session()).toBeDefined()
})

test("a server that renders asks for the first factor after a provider", async () => {
  const strict = await startWatchword(
    "--config", join(folder, "watchword.yaml"), "--allowed-origins", app, "--second-factor", "required")
  const leadTo = (url: string): Promise<Response> =>
    fetch(`${issuer}/test/redirect`, { method: "PUT", body: `${url}/sign-in/acme/callback` })
  onTestFinished(async () => {
    await leadTo(server.url)
    await strict.stop()
  })
  await leadTo(strict.url)
  await setProviderUser({ sub: "strict", email: "strict@example.com", email_verified: true, name: "Ada" })
  const { request } = createRenderingApp(strict.url)
  const back = await new Browser().follow(await request().signInWith("acme", "/back"))
  await expect(request().finishSignInWith(back)).rejects.toMatchObject({ code: "ENROLMENT_REQUIRED" })
  expect(request().enrolment()).toMatchObject({ methods: ["totp"] })
  const { id, secret } = await request().beginTOTP()
  const done = await request().confirmTOTP(id, { code: totpCode(secret) })
  expect(done.user).toMatchObject({ email: "strict@example.com" })
  expect(await request().session()).toBeDefined()
}, 60_000)
