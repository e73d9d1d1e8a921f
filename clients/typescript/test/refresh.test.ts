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

test("restore finds the session of a new page", async () => {
  const { server, browser } = await signedIn()
  const page = browser.tab(server.url)
  expect(page.getSnapshot()).toEqual({ status: "unknown", user: undefined })
  expect(await page.restore()).toMatchObject({ status: "signedIn", user: { email: ada.email } })
  await page.restore()
  expect(server.refreshes).toBe(1)
  expect(await new Browser().tab(server.url).restore()).toEqual({ status: "signedOut", user: undefined })
})

test("the first request restores the session", async () => {
  const { server, browser, things } = await signedIn()
  const page = browser.tab(server.url)
  expect((await page.fetch(things)).status).toBe(200)
  expect(await page.getAccessToken()).toMatch(/^ey/)
  expect(server.refreshes).toBe(1)
})

test.each([
  "REFRESH_MISSING",
  "REFRESH_INVALID",
  "REFRESH_REUSED",
  "SESSION_ENDED",
])("%s signs out with that reason and stops refreshes", async (code) => {
  const { server, tab, things } = await signedIn()
  server.onRefresh = () => ({ status: 401, code })
  const seen = vi.fn()
  tab.onChange(seen)
  expect(await tab.refresh()).toEqual({ status: "signedOut", user: undefined, reason: code })
  expect(seen.mock.calls).toEqual([[{ status: "signedOut", user: undefined, reason: code }]])
  await expect(tab.fetch(things)).rejects.toMatchObject({ code })
  await expect(tab.getAccessToken()).rejects.toMatchObject({ code })
  expect(server.refreshes).toBe(1)
})

test("a lost response is requested again and does not sign out", async () => {
  const time = settableClock()
  const { server, tab, things } = await signedIn()
  server.onRefresh = (count) => (count === 1 ? "cutAfterwards" : undefined)
  time.advance(901)
  expect((await tab.fetch(things)).status).toBe(200)
  expect(server.refreshes).toBe(2)
  expect(tab.getSnapshot().status).toBe("signedIn")
})

test("a network failure does not sign out, and refreshes back off", async () => {
  const time = settableClock()
  const { server, tab, things } = await signedIn()
  server.onRefresh = () => "cut"
  time.advance(901)
  await expect(tab.fetch(things)).rejects.toMatchObject({ code: "NETWORK", status: 0 })
  expect(tab.getSnapshot().status).toBe("signedIn")
  expect(server.refreshes).toBe(2)
  await expect(tab.fetch(things)).rejects.toMatchObject({ code: "NETWORK", retryAfter: 1 })
  expect(server.refreshes).toBe(2)
  time.advance(1)
  await expect(tab.fetch(things)).rejects.toMatchObject({ code: "NETWORK" })
  expect(server.refreshes).toBe(4)
  server.onRefresh = () => undefined
  time.advance(2)
  expect((await tab.fetch(things)).status).toBe(200)
  expect(server.refreshes).toBe(5)
})

test("20 requests whose refresh fails cause one refresh and one retry", async () => {
  const time = settableClock()
  const { server, tab, things } = await signedIn()
  server.onRefresh = () => "cut"
  time.advance(901)
  const answers = await Promise.allSettled(Array.from({ length: 20 }, () => tab.fetch(things)))
  expect(answers.map((one) => one.status)).toEqual(Array(20).fill("rejected"))
  expect(server.refreshes).toBe(2)
})

test.each([
  [503, "TRY_LATER"],
  [429, "RATE_LIMITED"],
])("%i delays refreshes by Retry-After and does not sign out", async (status, code) => {
  const time = settableClock()
  const { server, tab, things } = await signedIn()
  server.onRefresh = () => ({ status, code, retryAfter: 30 })
  time.advance(901)
  await expect(tab.fetch(things)).rejects.toMatchObject({ code, status, retryAfter: 30 })
  await expect(tab.fetch(things)).rejects.toMatchObject({ code, status, retryAfter: 30 })
  expect(server.refreshes).toBe(1)
  server.onRefresh = () => undefined
  time.advance(29)
  await expect(tab.fetch(things)).rejects.toMatchObject({ code, retryAfter: 1 })
  expect(server.refreshes).toBe(1)
  time.advance(1)
  expect((await tab.fetch(things)).status).toBe(200)
  expect(server.refreshes).toBe(2)
  expect(tab.getSnapshot().status).toBe("signedIn")
})

test("a stale token is used until it expires while refreshes fail", async () => {
  const time = settableClock()
  const { server, tab, things } = await signedIn()
  server.onRefresh = () => ({ status: 503, code: "TRY_LATER", retryAfter: 30 })
  time.advance(895)
  expect((await tab.fetch(things)).status).toBe(200)
  expect(server.refreshes).toBe(1)
  time.advance(5)
  await expect(tab.fetch(things)).rejects.toMatchObject({ code: "TRY_LATER" })
})

test("a 401 of a proxy does not sign out", async () => {
  const { server, tab } = await signedIn()
  server.onRefresh = () => ({ status: 401, code: "PROXY_SAYS_NO" })
  await expect(tab.refresh()).rejects.toMatchObject({ status: 401 })
  expect(tab.getSnapshot().status).toBe("signedIn")
})

test("a sign-out during a refresh wins", async () => {
  const time = settableClock()
  const { server, browser, tab, things } = await signedIn()
  const answering = createGate()
  server.onRefresh = () => answering.opened.then(() => undefined)
  const answers: string[] = []
  browser.onAnswer = (url) => void answers.push(url)
  time.advance(901)
  const request = tab.fetch(things)
  const refused = expect(request).rejects.toMatchObject({ code: "TOKEN_MISSING" })
  await waitUntil(() => server.refreshes === 1)
  const out = tab.logout()
  expect(tab.getSnapshot()).toEqual({ status: "signedOut", user: undefined })
  answering.open()
  await out
  await refused
  expect(tab.getSnapshot().status).toBe("signedOut")
  expect(server.count("/things")).toBe(0)
  expect(answers).toEqual([`${server.url}/api/auth/logout`]) // the refresh was aborted, so its cookie was not set
  expect(await browser.tab(server.url).restore()).toMatchObject({ status: "signedOut" })
})

test("a sign-out wins over a refresh whose response has arrived", async () => {
  const { server, browser, tab } = await signedIn()
  const answered = createGate()
  let arrived = false
  browser.onAnswer = (url) => {
    if (!url.includes("/refresh")) return
    arrived = true
    return answered.opened
  }
  const refreshing = tab.refresh()
  await waitUntil(() => arrived)
  await tab.logout()
  answered.open()
  expect(await refreshing).toEqual({ status: "signedOut", user: undefined })
  await expect(tab.fetch(`${server.url}/things`)).rejects.toMatchObject({ code: "TOKEN_MISSING" })
})

test("a sign-in during a refresh wins", async () => {
  const { server, browser, tab, things } = await signedIn()
  const hasty = browser.tab(server.url, { lockTimeout: 50 })
  await hasty.restore()
  const answered = createGate()
  let arrived = 0
  browser.onAnswer = (url) => {
    if (!url.includes("/refresh")) return
    arrived++
    return answered.opened
  }
  const refreshing = hasty.refresh()
  await waitUntil(() => arrived === 1)
  await hasty.login(bob)
  answered.open()
  expect(await refreshing).toMatchObject({ status: "signedIn", user: { email: bob.email } })
  expect(await (await hasty.fetch(things)).json()).toMatchObject({ user: bob.email })
  tab.close()
})

test("a sign-in waits for a running refresh, so that the cookie of the sign-in is kept", async () => {
  const { server, browser, tab } = await signedIn()
  const answering = createGate()
  server.onRefresh = () => answering.opened.then(() => undefined)
  const answers: string[] = []
  browser.onAnswer = (url) => void answers.push(url.slice(`${server.url}/api/auth/`.length))
  const refreshing = tab.refresh()
  await waitUntil(() => server.refreshes === 1)
  const signingIn = tab.login(bob)
  setTimeout(answering.open, 50) // long enough for a sign-in that does not wait for the refresh
  await Promise.all([refreshing, signingIn])
  expect(answers).toEqual(["refresh?optional=true", "login"])
  expect(tab.getSnapshot().user).toMatchObject({ email: bob.email })
  expect((await browser.tab(server.url).restore()).user).toMatchObject({ email: bob.email })
})

test("a sign-in ends the backoff", async () => {
  const { server, tab } = await signedIn()
  server.onRefresh = () => ({ status: 503, code: "TRY_LATER", retryAfter: 30 })
  await expect(tab.refresh()).rejects.toMatchObject({ code: "TRY_LATER" })
  server.onRefresh = () => undefined
  await expect(tab.refresh()).rejects.toMatchObject({ code: "TRY_LATER" })
  await tab.login(bob)
  expect(await tab.refresh()).toMatchObject({ user: { email: bob.email } })
})

test("a refused sign-in keeps the session", async () => {
  const { tab, things } = await signedIn()
  await expect(tab.login({ ...bob, password: "wrong" })).rejects.toMatchObject({
    code: "INVALID_CREDENTIALS",
    status: 401,
  })
  expect(await (await tab.fetch(things)).json()).toMatchObject({ user: ada.email })
})

test.each(["2001-01-01", "2051-01-01"])("a clock set to %s changes nothing", async (date) => {
  const { server, tab, things } = await signedIn()
  vi.useFakeTimers({ toFake: ["Date"], now: new Date(date) })
  try {
    for (let i = 0; i < 3; i++) expect((await tab.fetch(things)).status).toBe(200)
    expect(server.refreshes).toBe(0)
    await tab.refresh()
    for (let i = 0; i < 3; i++) expect((await tab.fetch(things)).status).toBe(200)
    expect(server.refreshes).toBe(1)
  } finally {
    vi.useRealTimers()
  }
})

test("a token's lifetime is counted from the request", async () => {
  const time = settableClock()
  const { server, tab, things } = await signedIn()
  server.onRefresh = () => void time.advance(1000)
  await tab.refresh()
  await tab.fetch(things)
  expect(server.refreshes).toBe(2)
})

test("the last token of a session is used although it lives for seconds", async () => {
  const { server, tab, things } = await signedIn()
  server.expiresIn = 0
  await tab.refresh()
  expect((await tab.fetch(things)).status).toBe(200)
  expect(server.refreshes).toBe(2)
})

test("a refresh times out in browsers without AbortSignal.any", async () => {
  vi.stubGlobal("AbortSignal", { any: undefined })
  const server = await TestServer.start()
  const never = createGate()
  server.onRefresh = () => never.opened.then(() => undefined)
  await expect(new Browser().tab(server.url, { timeout: 50 }).restore()).rejects.toMatchObject({ code: "TIMEOUT" })
  never.open()
})

test("an error of a listener does not affect the session and other listeners", async () => {
  const { tab } = await signedIn()
  const reported = vi.fn()
  const later = queueMicrotask
  vi.stubGlobal("queueMicrotask", (task: () => void) =>
    later(() => {
      try {
        task()
      } catch (error) {
        reported(error)
      }
    }),
  )
  const seen = vi.fn()
  tab.onChange(() => { throw new Error("an error of the application") })
  tab.onChange(seen)
  await tab.updateMe({ name: "Ada" })
  expect(seen).toHaveBeenCalledTimes(1)
  await vi.waitFor(() => expect(reported.mock.calls).toEqual([[new Error("an error of the application")]]))
})

test("a refresh with the same user keeps the snapshot object", async () => {
  const { tab } = await signedIn()
  const seen = vi.fn()
  const before = tab.getSnapshot()
  const stop = tab.onChange(seen)
  await tab.refresh()
  expect(tab.getSnapshot()).toBe(before)
  expect(seen).not.toHaveBeenCalled()
  await tab.updateMe({ name: "Ada" })
  expect(seen).toHaveBeenCalledTimes(1)
  expect(tab.getSnapshot().user?.name).toBe("Ada")
  stop()
  await tab.logout()
  expect(seen).toHaveBeenCalledTimes(1)
})
