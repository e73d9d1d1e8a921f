import { expect, test, vi } from "vitest"
import { ada, bob, Browser, clock, gate, until, withLocks } from "./browser.js"
import { TestServer } from "./server.js"

/** Several tabs of one signed-in browser. */
async function signedIn(tabs: number, options: { lockTimeout?: number } = {}) {
  const server = await TestServer.start()
  const browser = new Browser()
  const all = Array.from({ length: tabs }, () => browser.tab(server.url, options))
  await all[0]?.login(ada)
  await Promise.all(all.map((tab) => tab.restore()))
  // Until the news of the last refresh is everywhere.
  await vi.waitFor(async () => expect(new Set(await Promise.all(all.map((tab) => tab.getAccessToken()))).size).toBe(1), { interval: 5 })
  server.refreshes = 0
  return { server, browser, tabs: all, things: `${server.url}/things` }
}

test("five tabs that load at once make one refresh", async () => {
  withLocks()
  const server = await TestServer.start()
  const browser = new Browser()
  await browser.tab(server.url).login(ada)
  const tabs = Array.from({ length: 5 }, () => browser.tab(server.url))
  const found = await Promise.all(tabs.map((tab) => tab.restore()))
  expect(found.map((one) => one.user?.email)).toEqual(Array(5).fill(ada.email))
  expect(server.refreshes).toBe(1)
})

test("five tabs whose token expires make one refresh", async () => {
  const time = clock()
  withLocks()
  const { server, tabs, things } = await signedIn(5)
  time.advance(901)
  const answers = await Promise.all(tabs.map((tab) => tab.fetch(things)))
  expect(answers.map((one) => one.status)).toEqual(Array(5).fill(200))
  expect(server.refreshes).toBe(1)
})

test("five tabs whose token is refused make one refresh", async () => {
  withLocks()
  const { server, tabs, things } = await signedIn(5)
  server.expireTokens()
  const answers = await Promise.all(tabs.map((tab) => tab.fetch(things)))
  expect(answers.map((one) => one.status)).toEqual(Array(5).fill(200))
  expect(server.refreshes).toBe(1)
})

test("a tab that never lets its lock go stops nobody", async () => {
  const time = clock()
  const locks = withLocks()
  const { server, tabs, things } = await signedIn(2, { lockTimeout: 100 })
  void locks.request(`watchword:${server.url}`, {}, () => new Promise(() => {}))
  time.advance(901)
  const answers = await Promise.all(tabs.map((tab) => tab.fetch(things)))
  expect(answers.map((one) => one.status)).toEqual([200, 200])
  await tabs[0]?.login(bob)
})

test("locks that never answer, not even to a signal, stop nobody", async () => {
  const server = await TestServer.start()
  vi.stubGlobal("navigator", { locks: { request: () => new Promise(() => {}) } })
  const tab = new Browser().tab(server.url, { lockTimeout: 50 })
  await tab.login(ada)
  expect(await tab.refresh()).toMatchObject({ status: "signedIn" })
})

test.each<[string, unknown]>([
  ["refuse", { request: () => Promise.reject(new Error("SecurityError")) }],
  ["throw", { request: () => { throw new Error("SecurityError") } }],
  ["are not there", undefined],
])("the client works where locks %s", async (_, locks) => {
  vi.stubGlobal("navigator", { locks })
  const time = clock()
  const { server, tabs, things } = await signedIn(2)
  time.advance(901)
  expect((await Promise.all(tabs.map((tab) => tab.fetch(things)))).map((one) => one.status)).toEqual([200, 200])
  expect(server.refreshes).toBeLessThanOrEqual(2)
})

test.each<[string, unknown]>([
  ["are not there", undefined],
  ["are refused", class { constructor() { throw new Error("SecurityError") } }],
])("the client works where channels %s", async (_, channel) => {
  vi.stubGlobal("BroadcastChannel", channel)
  withLocks()
  const server = await TestServer.start()
  const tab = new Browser().tab(server.url)
  await tab.login(ada)
  await tab.refresh()
  await tab.logout()
  expect(tab.getSnapshot().status).toBe("signedOut")
})

test("a sign-in and a sign-out in one tab are those of all", async () => {
  const { server, browser, tabs } = await signedIn(3)
  await tabs[0]?.login(bob)
  await until(() => tabs.every((tab) => tab.getSnapshot().user?.email === bob.email))
  await tabs[2]?.logout()
  await until(() => tabs.every((tab) => tab.getSnapshot().status === "signedOut"))
  await tabs[1]?.login(ada)
  await until(() => tabs.every((tab) => tab.getSnapshot().user?.email === ada.email))
  expect(server.refreshes).toBe(0)
  expect(browser.cookie).not.toBe("")
})

test("a sign-out in one tab wins over the refresh of another", async () => {
  withLocks()
  const { server, tabs } = await signedIn(2)
  const [one, other] = tabs
  const answering = gate()
  server.onRefresh = () => answering.opened.then(() => undefined)
  const refreshing = one?.refresh()
  await until(() => server.refreshes === 1)
  const out = other?.logout()
  await until(() => one?.getSnapshot().status === "signedOut")
  answering.open()
  await out
  await refreshing
  expect(tabs.map((tab) => tab.getSnapshot().status)).toEqual(["signedOut", "signedOut"])
})

test("a token that another tab published before it heard of the sign-out is not taken", async () => {
  const { server, tabs } = await signedIn(1)
  const [tab] = tabs
  const news: unknown[] = []
  const wire = new BroadcastChannel(`watchword:${server.url}`)
  wire.onmessage = ({ data }: MessageEvent) => void news.push(data)
  await tab?.refresh()
  await until(() => news.length === 1)
  await tab?.logout()
  wire.postMessage(news[0])
  // News arrive in order: when a later one is there, so was this.
  const seen = vi.fn()
  tab?.onChange(seen)
  wire.postMessage({ kind: "token", accessToken: "another", left: 900_000, user: { id: "x" } })
  await until(() => tab?.getSnapshot().status === "signedIn")
  expect(seen.mock.calls).toEqual([[{ status: "signedIn", user: { id: "x" } }]])
  wire.close()
})

test("news that are too late change nothing: the end of an old session, an old token, nonsense", async () => {
  const { server, tabs } = await signedIn(1)
  const wire = new BroadcastChannel(`watchword:${server.url}`)
  wire.postMessage({ kind: "signedOut", sid: "an old one", reason: "SESSION_ENDED" })
  wire.postMessage({ kind: "nonsense" })
  wire.postMessage(null)
  wire.postMessage({ kind: "token", accessToken: "late", left: -1, user: { id: "late" } }) // as a page finds that was frozen
  wire.postMessage({ kind: "token", accessToken: "another", left: 900_000, user: { id: "x" } })
  const seen = vi.fn()
  tabs[0]?.onChange(seen)
  await until(() => seen.mock.calls.length > 0)
  expect(seen.mock.calls).toEqual([[{ status: "signedIn", user: { id: "x" } }]])
  wire.close()
})

test("servers of different URLs share nothing", async () => {
  const { tabs } = await signedIn(1)
  const elsewhere = await TestServer.start()
  const other = new Browser().tab(elsewhere.url)
  await other.login(bob)
  await other.logout()
  expect(tabs[0]?.getSnapshot().user?.email).toBe(ada.email)
})

test("a session that ended is ended in all tabs, with the reason", async () => {
  withLocks()
  const { server, tabs } = await signedIn(3)
  server.endSessions()
  await tabs[0]?.refresh()
  await until(() => tabs.every((tab) => tab.getSnapshot().status === "signedOut"))
  expect(tabs[2]?.getSnapshot()).toMatchObject({ reason: "SESSION_ENDED" })
  expect(server.refreshes).toBe(1)
})

test("a closed client hears and tells nothing", async () => {
  const { tabs } = await signedIn(2)
  tabs[1]?.close()
  await tabs[0]?.login(bob)
  await tabs[1]?.me()
  expect(tabs[1]?.getSnapshot().user?.email).toBe(ada.email)
})
