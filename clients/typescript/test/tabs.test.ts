import { expect, test, vi } from "vitest"
import { ada, bob, Browser, settableClock, createGate, waitUntil, withLocks } from "./browser.js"
import { TestServer } from "./server.js"

async function openSignedInTabs(tabs: number, options: { lockTimeout?: number } = {}) {
  const server = await TestServer.start()
  const browser = new Browser()
  const all = Array.from({ length: tabs }, () => browser.tab(server.url, options))
  await all[0]?.login(ada)
  await Promise.all(all.map((tab) => tab.restore()))
  await vi.waitFor(
    async () => expect(new Set(await Promise.all(all.map((tab) => tab.getAccessToken()))).size).toBe(1),
    { interval: 5 },
  )
  server.refreshes = 0
  return { server, browser, tabs: all, things: `${server.url}/things` }
}

test("five tabs that load at once cause one refresh", async () => {
  withLocks()
  const server = await TestServer.start()
  const browser = new Browser()
  await browser.tab(server.url).login(ada)
  const tabs = Array.from({ length: 5 }, () => browser.tab(server.url))
  const found = await Promise.all(tabs.map((tab) => tab.restore()))
  expect(found.map((one) => one.user?.email)).toEqual(Array(5).fill(ada.email))
  expect(server.refreshes).toBe(1)
})

test("five tabs whose token expires cause one refresh", async () => {
  const time = settableClock()
  withLocks()
  const { server, tabs, things } = await openSignedInTabs(5)
  time.advance(901)
  const answers = await Promise.all(tabs.map((tab) => tab.fetch(things)))
  expect(answers.map((one) => one.status)).toEqual(Array(5).fill(200))
  expect(server.refreshes).toBe(1)
})

test("five tabs whose token is refused cause one refresh", async () => {
  withLocks()
  const { server, tabs, things } = await openSignedInTabs(5)
  server.expireTokens()
  const answers = await Promise.all(tabs.map((tab) => tab.fetch(things)))
  expect(answers.map((one) => one.status)).toEqual(Array(5).fill(200))
  expect(server.refreshes).toBe(1)
})

test("a tab that never releases the lock does not block other tabs", async () => {
  const time = settableClock()
  const locks = withLocks()
  const { server, tabs, things } = await openSignedInTabs(2, { lockTimeout: 100 })
  void locks.request(`watchword:${server.url}`, {}, () => new Promise(() => {}))
  time.advance(901)
  const answers = await Promise.all(tabs.map((tab) => tab.fetch(things)))
  expect(answers.map((one) => one.status)).toEqual([200, 200])
  await tabs[0]?.login(bob)
})

test("locks that never settle do not block a tab", async () => {
  const server = await TestServer.start()
  vi.stubGlobal("navigator", { locks: { request: () => new Promise(() => {}) } })
  const tab = new Browser().tab(server.url, { lockTimeout: 50 })
  await tab.login(ada)
  expect(await tab.refresh()).toMatchObject({ status: "signedIn" })
})

test.each<[string, unknown]>([
  ["refuse", { request: () => Promise.reject(new Error("SecurityError")) }],
  ["throw", { request: () => { throw new Error("SecurityError") } }],
  ["do not exist", undefined],
])("the client works where locks %s", async (_, locks) => {
  vi.stubGlobal("navigator", { locks })
  const time = settableClock()
  const { server, tabs, things } = await openSignedInTabs(2)
  time.advance(901)
  expect((await Promise.all(tabs.map((tab) => tab.fetch(things)))).map((one) => one.status)).toEqual([200, 200])
  expect(server.refreshes).toBeLessThanOrEqual(2)
})

test.each<[string, unknown]>([
  ["do not exist", undefined],
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

test("a sign-in and a sign-out apply to all tabs", async () => {
  const { server, browser, tabs } = await openSignedInTabs(3)
  await tabs[0]?.login(bob)
  await waitUntil(() => tabs.every((tab) => tab.getSnapshot().user?.email === bob.email))
  await tabs[2]?.logout()
  await waitUntil(() => tabs.every((tab) => tab.getSnapshot().status === "signedOut"))
  await tabs[1]?.login(ada)
  await waitUntil(() => tabs.every((tab) => tab.getSnapshot().user?.email === ada.email))
  expect(server.refreshes).toBe(0)
  expect(browser.cookie).not.toBe("")
})

test("a sign-out in one tab wins over the refresh of another", async () => {
  withLocks()
  const { server, tabs } = await openSignedInTabs(2)
  const [one, other] = tabs
  const answering = createGate()
  server.onRefresh = () => answering.opened.then(() => undefined)
  const refreshing = one?.refresh()
  await waitUntil(() => server.refreshes === 1)
  const out = other?.logout()
  await waitUntil(() => one?.getSnapshot().status === "signedOut")
  answering.open()
  await out
  await refreshing
  expect(tabs.map((tab) => tab.getSnapshot().status)).toEqual(["signedOut", "signedOut"])
})

test("a token sent by another tab before it received the sign-out is ignored", async () => {
  const { server, tabs } = await openSignedInTabs(1)
  const [tab] = tabs
  const messages: unknown[] = []
  const channel = new BroadcastChannel(`watchword:${server.url}`)
  channel.onmessage = ({ data }: MessageEvent) => void messages.push(data)
  await tab?.refresh()
  await waitUntil(() => messages.length === 1)
  await tab?.logout()
  channel.postMessage(messages[0])
  // Messages arrive in order. When the later message has taken effect, the earlier one has been processed, too.
  const seen = vi.fn()
  tab?.onChange(seen)
  channel.postMessage({ kind: "token", accessToken: "another", left: 900_000, user: { id: "x" } })
  await waitUntil(() => tab?.getSnapshot().status === "signedIn")
  expect(seen.mock.calls).toEqual([[{ status: "signedIn", user: { id: "x" } }]])
  channel.close()
})

test("late and malformed messages of other tabs are ignored", async () => {
  const { server, tabs } = await openSignedInTabs(1)
  const channel = new BroadcastChannel(`watchword:${server.url}`)
  channel.postMessage({ kind: "signedOut", sid: "an old one", reason: "SESSION_ENDED" })
  channel.postMessage({ kind: "nonsense" })
  channel.postMessage(null)
  // After a page was frozen, it can receive expired tokens, and must ignore them.
  channel.postMessage({ kind: "token", accessToken: "late", left: -1, user: { id: "late" } })
  channel.postMessage({ kind: "token", accessToken: "another", left: 900_000, user: { id: "x" } })
  const seen = vi.fn()
  tabs[0]?.onChange(seen)
  await waitUntil(() => seen.mock.calls.length > 0)
  expect(seen.mock.calls).toEqual([[{ status: "signedIn", user: { id: "x" } }]])
  channel.close()
})

test("clients of different servers share nothing", async () => {
  const { tabs } = await openSignedInTabs(1)
  const elsewhere = await TestServer.start()
  const other = new Browser().tab(elsewhere.url)
  await other.login(bob)
  await other.logout()
  expect(tabs[0]?.getSnapshot().user?.email).toBe(ada.email)
})

test("an ended session signs out all tabs with the reason", async () => {
  withLocks()
  const { server, tabs } = await openSignedInTabs(3)
  server.endSessions()
  await tabs[0]?.refresh()
  await waitUntil(() => tabs.every((tab) => tab.getSnapshot().status === "signedOut"))
  expect(tabs[2]?.getSnapshot()).toMatchObject({ reason: "SESSION_ENDED" })
  expect(server.refreshes).toBe(1)
})

test("a closed client neither receives nor sends messages", async () => {
  const { tabs } = await openSignedInTabs(2)
  tabs[1]?.close()
  await tabs[0]?.login(bob)
  await tabs[1]?.me()
  expect(tabs[1]?.getSnapshot().user?.email).toBe(ada.email)
})
