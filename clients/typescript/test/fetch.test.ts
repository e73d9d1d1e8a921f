import { expect, test, vi } from "vitest"
import { ada, bob, Browser, settableClock, createGate, waitUntil } from "./browser.js"
import { TestServer } from "./server.js"

async function signedIn() {
  const server = await TestServer.start()
  const browser = new Browser()
  const tab = browser.tab(server.url)
  await tab.login(ada)
  return { server, browser, tab, things: `${server.url}/things` }
}

test("a request has the access token, and the response is returned", async () => {
  const { server, tab, things } = await signedIn()
  const response = await tab.fetch(things, { method: "POST", body: "x", headers: { "X-Own": "1" } })
  expect(await response.json()).toMatchObject({ method: "POST", body: "x", user: ada.email })
  expect(server.asked.at(-1)?.headers).toMatchObject({ "x-own": "1" })
  expect((await tab.fetch(`${server.url}/api/auth/none`)).status).toBe(200)
  expect(server.refreshes).toBe(0)
})

test("20 requests with an expired token cause one refresh", async () => {
  const time = settableClock()
  const { server, tab, things } = await signedIn()
  time.advance(901)
  const answers = await Promise.all(Array.from({ length: 20 }, () => tab.fetch(things)))
  expect(answers.map((one) => one.status)).toEqual(Array(20).fill(200))
  expect(server.refreshes).toBe(1)
  expect(server.count("/things")).toBe(20)
})

test("20 requests that get TOKEN_EXPIRED cause one refresh and are each sent twice", async () => {
  const { server, tab, things } = await signedIn()
  server.expireTokens()
  const answers = await Promise.all(Array.from({ length: 20 }, () => tab.fetch(things)))
  expect(answers.map((one) => one.status)).toEqual(Array(20).fill(200))
  expect(server.refreshes).toBe(1)
  expect(server.count("/things")).toBe(40)
})

test("repeated 401 responses throw after the second", async () => {
  const { server, tab, things } = await signedIn()
  server.onThing = () => ({ status: 401, code: "TOKEN_EXPIRED" })
  await expect(tab.fetch(things)).rejects.toMatchObject({
    name: "WatchwordError",
    code: "TOKEN_EXPIRED",
    status: 401,
    requestId: "r-1",
  })
  expect(server.count("/things")).toBe(2)
  expect(server.refreshes).toBe(1)
  expect(tab.getSnapshot().status).toBe("signedIn")
  for (let i = 0; i < 10; i++) await expect(tab.fetch(things)).rejects.toMatchObject({ code: "TOKEN_EXPIRED" })
  expect(server.refreshes).toBe(1)
})

test("a 401 that is not about the token is returned", async () => {
  const { server, tab, things } = await signedIn()
  server.onThing = () => ({ status: 401, code: "INVALID_CREDENTIALS" })
  expect((await tab.fetch(things)).status).toBe(401)
  server.onThing = () => ({ status: 403, code: "INSUFFICIENT_SCOPE" })
  expect((await tab.fetch(things)).status).toBe(403)
  expect(server.refreshes).toBe(0)
})

test.each<[string, object, HeadersInit]>([
  [
    "sends only the challenge of RFC 6750",
    { code: "OWN" },
    { "WWW-Authenticate": 'Bearer realm="x", error="invalid_token"' },
  ],
  ["sends only the status", {}, {}],
])("a 401 of a service that %s causes a refresh", async (_, own, headers) => {
  const { server, browser, things } = await signedIn()
  const refused = vi.fn<typeof fetch>(async (input, init) => {
    if (refused.mock.calls.length > 1) return browser.fetch(input, init)
    return Response.json({ code: 17, ...own }, { status: 401, headers })
  })
  const tab = browser.tab(server.url, {
    fetch: (input, init) => (String(input) === things ? refused : browser.fetch)(input, init),
  })
  await tab.restore()
  expect((await tab.fetch(things)).status).toBe(200)
  expect(server.refreshes).toBe(2)
})

test.each<[string, () => BodyInit]>([
  ["a string", () => "x"],
  ["a form", () => new URLSearchParams({ x: "1" })],
  ["bytes", () => new TextEncoder().encode("x")],
  ["a blob", () => new Blob(["x"])],
])("%s is sent again after a 401", async (_, body) => {
  const { server, tab, things } = await signedIn()
  server.expireTokens()
  expect((await tab.fetch(things, { method: "POST", body: body() })).status).toBe(200)
  const [first, second] = server.asked.filter((one) => one.path === "/things")
  expect(first?.body).toBe(second?.body)
  expect(first?.body).toContain("x")
})

test("a Request with a body is sent again after a 401", async () => {
  const { server, tab, things } = await signedIn()
  server.expireTokens()
  const response = await tab.fetch(new Request(things, { method: "PUT", body: "x", headers: { "X-Own": "1" } }))
  expect(await response.json()).toMatchObject({ method: "PUT", body: "x" })
  expect(server.asked.filter((one) => one.path === "/things").map((one) => [one.body, one.headers["x-own"]])).toEqual([
    ["x", "1"],
    ["x", "1"],
  ])
})

test("a stream is never sent again, and the next request has a fresh token", async () => {
  const { server, tab, things } = await signedIn()
  server.expireTokens()
  const body = new Blob(["x"]).stream()
  await expect(tab.fetch(things, { method: "POST", body })).rejects.toMatchObject({
    code: "TOKEN_EXPIRED",
    status: 401,
  })
  expect(server.count("/things")).toBe(1)
  expect((await tab.fetch(things)).status).toBe(200)
  expect(server.refreshes).toBe(1)
})

test("after a network failure only safe methods are sent again, once", async () => {
  const { server, tab, things } = await signedIn()
  server.onThing = () => "cut"
  await expect(tab.fetch(things, { method: "POST", body: "x" })).rejects.toMatchObject({ code: "NETWORK", status: 0 })
  expect(server.count("/things")).toBe(1)
  await expect(tab.fetch(things)).rejects.toMatchObject({ code: "NETWORK" })
  expect(server.count("/things")).toBe(3)
  server.onThing = (count) => (count === 4 ? "cut" : undefined)
  expect((await tab.fetch(things)).status).toBe(200)
})

test("a request is sent at most twice", async () => {
  const { server, tab, things } = await signedIn()
  server.onThing = (count) => (count === 1 ? "cut" : { status: 401, code: "TOKEN_EXPIRED" })
  await expect(tab.fetch(things)).rejects.toMatchObject({ code: "TOKEN_EXPIRED" })
  expect(server.count("/things")).toBe(2)
})

test("the token is sent to named origins only", async () => {
  const { server, browser, tab } = await signedIn()
  const other = await TestServer.start()
  await expect(tab.fetch(`${other.url}/things`)).rejects.toMatchObject({ code: "CROSS_ORIGIN" })
  expect(other.asked).toEqual([])
  const knowing = browser.tab(server.url, { origins: [other.url] })
  await expect(knowing.fetch(`${other.url}/things`)).rejects.toMatchObject({ code: "TOKEN_INVALID" })
  expect(other.asked.length).toBeGreaterThan(0)
})

test("a request without a response in time throws TIMEOUT", async () => {
  const { server, browser, things } = await signedIn()
  const tab = browser.tab(server.url, { fetchTimeout: 50 })
  const never = createGate()
  server.onThing = () => never.opened.then(() => undefined)
  await tab.restore()
  await expect(tab.fetch(things)).rejects.toMatchObject({ code: "TIMEOUT", status: 0 })
  expect(server.count("/things")).toBe(1)
  never.open()
})

test("fetchTimeout may be Infinity", async () => {
  const { server, browser, things } = await signedIn()
  const tab = browser.tab(server.url, { fetchTimeout: Infinity })
  expect((await tab.fetch(things)).status).toBe(200)
})

test("a slow request whose token was renewed meanwhile is sent again with the new token", async () => {
  const { server, tab, things } = await signedIn()
  const answering = createGate()
  server.onThing = (count) => (count === 1 ? answering.opened.then(() => undefined) : undefined)
  const slow = tab.fetch(things)
  await waitUntil(() => server.count("/things") === 1)
  await tab.refresh()
  server.expireTokens()
  expect((await tab.fetch(things)).status).toBe(200)
  answering.open()
  expect((await slow).status).toBe(200)
  expect(server.refreshes).toBe(2)
})

test.each([
  true,
  false,
])("the caller's own signal aborts a request as with fetch (AbortSignal.any exists: %s)", async (modern) => {
  if (!modern) vi.stubGlobal("AbortSignal", { any: undefined })
  const { server, tab, things } = await signedIn()
  const never = createGate()
  server.onThing = () => never.opened.then(() => undefined)
  const stop = new AbortController()
  const answer = tab.fetch(things, { signal: stop.signal })
  await waitUntil(() => server.count("/things") === 1)
  stop.abort()
  await expect(answer).rejects.toMatchObject({ name: "AbortError" })
  never.open()
})

test("an ended session signs out with the reason", async () => {
  const { server, tab, things } = await signedIn()
  server.endSessions()
  await expect(tab.fetch(things)).rejects.toMatchObject({ code: "SESSION_ENDED", status: 401 })
  expect(tab.getSnapshot()).toEqual({ status: "signedOut", user: undefined, reason: "SESSION_ENDED" })
  const before = server.asked.length
  await expect(tab.fetch(things)).rejects.toMatchObject({ code: "SESSION_ENDED" })
  expect(server.asked.length).toBe(before)
})

test("a request of one user is not repeated as another", async () => {
  const { server, tab, things } = await signedIn()
  const answering = createGate()
  server.onThing = () => answering.opened.then(() => ({ status: 401, code: "TOKEN_EXPIRED" }))
  const began = tab.fetch(things, { method: "POST", body: "ada's" })
  await waitUntil(() => server.count("/things") === 1)
  await tab.login(bob)
  answering.open()
  await expect(began).rejects.toMatchObject({ code: "SESSION_ENDED" })
  expect(server.count("/things")).toBe(1)
})
