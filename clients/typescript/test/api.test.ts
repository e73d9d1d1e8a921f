import { readFileSync } from "node:fs"
import { expect, test, vi } from "vitest"
import { createClient, WatchwordError, type Code } from "../src/index.js"
import { useSession } from "../src/react.js"
import { ada, bob, Browser, createGate, closeAfterTest, waitUntil } from "./browser.js"
import { TestServer } from "./server.js"

vi.mock("react", () => ({
  useSyncExternalStore: (subscribe: (change: () => void) => () => void, get: () => unknown) => ({
    stop: subscribe(() => changes.push(get())),
    now: get(),
  }),
}))
const changes: unknown[] = []

function clientWithStorage(server: TestServer) {
  const kept: { token?: string | undefined } = {}
  const storage = {
    get: async () => kept.token,
    set: async (token: string) => void (kept.token = token),
    remove: async () => void delete kept.token,
  }
  return { kept, storage, client: closeAfterTest(createClient({ baseUrl: server.url, storage })) }
}

test("a refusal has the rejected fields and the request id", async () => {
  const server = await TestServer.start()
  const tab = new Browser().tab(server.url)
  const error: unknown = await tab.register({ ...ada, password: "short" }).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(WatchwordError)
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: "WatchwordError",
    code: "VALIDATION_FAILED" satisfies Code,
    status: 422,
    requestId: "r-1",
    fields: [{ field: "password", code: "PASSWORD_TOO_SHORT", message: "At least 8." }],
    retryAfter: undefined,
  })
  expect(tab.getSnapshot().status).toBe("unknown")
})

test.each([
  [401, "TOKEN_INVALID"],
  [404, "NOT_FOUND"],
  [429, "RATE_LIMITED"],
  [502, "TRY_LATER"],
  [503, "TRY_LATER"],
  [500, "INTERNAL"],
])("a response %i without a code of the server has the code %s", async (status, code) => {
  for (const body of ["<html>", "null", "[]", '"x"', '{"code":5}']) {
    const fetch = async () => new Response(body, { status, headers: { "Retry-After": "soon" } })
    await expect(
      createClient({ baseUrl: "https://id.example.com", fetch }).forgot({ email: "a" }),
    ).rejects.toMatchObject({ code, status, fields: [], retryAfter: undefined })
  }
})

test("an incomplete response is NETWORK, and a missing one TIMEOUT", async () => {
  const stalled = new Response(new ReadableStream({ start: (c) => c.enqueue(new TextEncoder().encode('{"mess')) }))
  const server = await TestServer.start()
  const never = createGate()
  server.onRefresh = () => never.opened.then(() => undefined)
  const tab = new Browser().tab(server.url, { timeout: 50 })
  await expect(tab.restore()).rejects.toMatchObject({ code: "TIMEOUT", status: 0 })
  expect(tab.getSnapshot().status).toBe("unknown")
  never.open()
  const broken = createClient({ baseUrl: server.url, fetch: async () => new Response("{", { status: 200 }) })
  await expect(broken.forgot({ email: "a" })).rejects.toMatchObject({ code: "NETWORK" })
  const client = createClient({
    baseUrl: server.url,
    timeout: 50,
    fetch: async (_, init) => {
      init?.signal?.addEventListener("abort", () => void stalled.body?.cancel().catch(() => {}))
      return new Response(stalled.body?.pipeThrough(new TransformStream(), init?.signal ? { signal: init.signal } : {}))
    },
  })
  await expect(client.forgot({ email: "a" })).rejects.toMatchObject({ code: "TIMEOUT" })
})

test("a sign-up that must be verified by mail does not sign in", async () => {
  const server = await TestServer.start()
  const tab = new Browser().tab(server.url)
  expect(await tab.register({ ...ada, email: "verify@example.com" })).toEqual({ message: "Check your inbox." })
  expect(tab.getSnapshot().status).toBe("unknown")
  expect(await tab.register(ada)).toEqual({ user: expect.objectContaining({ email: ada.email }) as unknown })
  expect(tab.getSnapshot().status).toBe("signedIn")
})

test("with a cookie, bodies have no token and the cookie is sent to Watchword only", async () => {
  const server = await TestServer.start()
  const service = await TestServer.start()
  const tab = new Browser().tab(server.url, { origins: [service.url] })
  await tab.login(ada)
  await tab.refresh()
  await tab.fetch(`${service.url}/things`).catch(() => {})
  await tab.logout()
  expect(server.asked.map((one) => [one.path, one.body, Boolean(one.headers.cookie)])).toEqual([
    ["/api/auth/login", JSON.stringify(ada), false],
    ["/api/auth/refresh", "", true],
    ["/api/auth/refresh", "", true], // the server rejects the token
    ["/api/auth/logout", "", true],
  ])
  expect(service.asked.every((one) => one.headers.cookie === undefined)).toBe(true)
})

test("a program stores its refresh token and sends the newest", async () => {
  const server = await TestServer.start()
  const { client, kept, storage } = clientWithStorage(server)
  expect(await client.restore()).toEqual({ status: "signedOut", user: undefined })
  expect(server.asked).toEqual([])
  const answer = await client.login(ada)
  expect(Object.keys(answer)).toEqual(["user"])
  const first = kept.token
  await client.refresh()
  expect(kept.token).not.toBe(first)
  const later = closeAfterTest(createClient({ baseUrl: server.url, storage }))
  expect(await later.restore()).toMatchObject({ status: "signedIn", user: { email: ada.email } })
  await later.logout()
  expect(kept.token).toBeUndefined()
  expect(server.asked.every((one) => one.headers.cookie === undefined)).toBe(true)
  await client.refresh()
  expect(client.getSnapshot().status).toBe("signedOut")
})

test("a program keeps its device token after a sign-out and sends it at login", async () => {
  const server = await TestServer.start()
  const { client, storage } = clientWithStorage(server)
  const kept: { device?: string } = {}
  const keeping = {
    ...storage,
    getDevice: () => kept.device,
    setDevice: async (token: string) => void (kept.device = token),
  }
  await client.login(ada)
  expect(await client.reset({ token: "t", password: "p" })).toEqual({ message: "Done." })
  await client.logout()
  await client.login(ada) // the device token is in memory, because this storage has no setDevice
  const later = closeAfterTest(createClient({ baseUrl: server.url, storage: keeping }))
  await later.login(ada)
  expect(kept.device).toBe("wwd_login")
  await later.logout()
  await closeAfterTest(createClient({ baseUrl: server.url, storage: keeping })).login(ada)
  const tab = new Browser().tab(server.url)
  expect(await tab.reset({ token: "t", password: "p" })).toEqual({ message: "Done." })
  await tab.login(ada)
  const sent = server.asked
    .filter((one) => one.path === "/api/auth/login")
    .map((one) => (JSON.parse(one.body) as { deviceToken?: string }).deviceToken)
  expect(sent).toEqual([undefined, "wwd_reset", undefined, "wwd_login", undefined])
})

test("a refused refresh token is removed from the storage", async () => {
  const server = await TestServer.start()
  const { client, kept } = clientWithStorage(server)
  await client.login(ada)
  server.endSessions()
  await client.refresh()
  expect(kept.token).toBeUndefined()
})

test("clients with a storage share nothing in one process", async () => {
  const server = await TestServer.start()
  const [one, other] = [clientWithStorage(server), clientWithStorage(server)]
  await Promise.all([one.client.login(ada), other.client.login(bob)])
  await one.client.refresh()
  await one.client.logout()
  expect(other.client.getSnapshot()).toMatchObject({ status: "signedIn", user: { email: bob.email } })
})

test("a sign-out that does not reach the server throws and can be retried", async () => {
  const server = await TestServer.start()
  const { client, kept } = clientWithStorage(server)
  await client.login(ada)
  server.onLogout = () => "cut"
  await expect(client.logout()).rejects.toMatchObject({ code: "NETWORK" })
  expect(client.getSnapshot().status).toBe("signedOut")
  expect(server.count("/api/auth/logout")).toBe(2)
  server.onLogout = () => undefined
  await client.logout()
  expect([...server.sessions.values()].map((one) => one.ended)).toEqual([true])
  expect(kept.token).toBeUndefined()
})

test("logoutAll signs out here, unless it keeps the current session", async () => {
  const server = await TestServer.start()
  const tab = new Browser().tab(server.url)
  await tab.login(ada)
  expect(await tab.logoutAll()).toMatchObject({ ended: 1 })
  expect(tab.getSnapshot()).toEqual({ status: "signedOut", user: undefined })
  await tab.login(ada)
  await tab.logoutAll({ keepCurrent: true })
  expect(tab.getSnapshot().status).toBe("signedIn")
})

test("me updates the user of the snapshot, unless another user has signed in", async () => {
  const server = await TestServer.start()
  const browser = new Browser()
  const tab = browser.tab(server.url)
  await tab.login(ada)
  for (const session of server.sessions.values()) session.user = { ...session.user, roles: ["admin"] }
  await tab.me()
  expect(tab.getSnapshot().user?.roles).toEqual(["admin"])
  for (const next of [() => tab.login(bob), () => tab.logout()]) {
    const answered = createGate()
    let arrived = false
    browser.onAnswer = (url) => {
      if (!url.endsWith("/me")) return
      arrived = true
      return answered.opened
    }
    const asking = tab.me()
    await waitUntil(() => arrived)
    await next()
    const after = tab.getSnapshot()
    answered.open()
    await asking
    expect(tab.getSnapshot()).toBe(after)
  }
})

test("a base URL may end with a slash, have a path, or be relative to the page", async () => {
  const asked: string[] = []
  const fetch = async (input: RequestInfo | URL) => {
    asked.push(String(input))
    return Response.json({ message: "" })
  }
  vi.stubGlobal("location", { origin: "https://app.example.com" })
  for (const baseUrl of ["https://id.example.com", "https://id.example.com/", "https://example.com/id/", "/"]) {
    await createClient({ baseUrl, fetch }).forgot({ email: "a" })
  }
  expect(asked).toEqual([
    "https://id.example.com/api/auth/password/forgot",
    "https://id.example.com/api/auth/password/forgot",
    "https://example.com/id/api/auth/password/forgot",
    "https://app.example.com/api/auth/password/forgot",
  ])
})

test("useSession follows the snapshot", async () => {
  const server = await TestServer.start()
  const tab = new Browser().tab(server.url)
  const hook = useSession(tab) as unknown as { stop(): void; now: unknown }
  expect(hook.now).toBe(tab.getSnapshot())
  await tab.login(ada)
  hook.stop()
  await tab.logout()
  expect(changes).toEqual([expect.objectContaining({ status: "signedIn" })])
})

test("the package has no dependencies", () => {
  const { dependencies } = JSON.parse(readFileSync("package.json", "utf8")) as { dependencies?: object }
  expect(dependencies).toBeUndefined()
})
