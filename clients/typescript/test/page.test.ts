// Early renewal in a page, with fake timers and a function as the server.
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { createClient, type Client } from "../src/index.js"
import { ada, closeAfterTest } from "./browser.js"

class Page extends EventTarget {
  visibilityState: "visible" | "hidden" = "visible"
  readonly baseURI = "https://app.example.com/"

  see(state: "visible" | "hidden"): void {
    this.visibilityState = state
    this.dispatchEvent(new Event("visibilitychange"))
  }
}

/** A channel that delivers messages synchronously. */
class Channel {
  static open: Channel[] = []
  onmessage: ((event: { data: unknown }) => void) | undefined

  constructor(readonly name: string) {
    Channel.open.push(this)
  }

  postMessage(data: unknown): void {
    if (!Channel.open.includes(this)) throw new DOMException("closed", "InvalidStateError")
    for (const one of Channel.open) {
      if (one !== this && one.name === this.name) one.onmessage?.({ data: structuredClone(data) })
    }
  }

  close(): void {
    Channel.open = Channel.open.filter((one) => one !== this)
  }
}

let page: Page
let window: EventTarget
let answers: ((count: number) => Response | Promise<Response>) | undefined
let refreshes: number

const user = { id: "1", email: ada.email, emailVerified: false, name: "", roles: [], locale: "", createdAt: "" }
const signIn = (expiresIn = 900): Response =>
  Response.json({ user, accessToken: `token ${refreshes}`, tokenType: "Bearer", expiresIn })
const refusal = (status: number, code: string, retryAfter?: number): Response =>
  Response.json(
    { status, code, detail: "" },
    { status, headers: retryAfter ? { "Retry-After": String(retryAfter) } : {} },
  )

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  page = new Page()
  window = new EventTarget()
  refreshes = 0
  answers = undefined
  Channel.open = []
  vi.stubGlobal("BroadcastChannel", Channel)
  vi.stubGlobal("document", page)
  vi.stubGlobal("location", { origin: "https://app.example.com" })
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window))
})
afterEach(() => vi.useRealTimers())

function client(): Client {
  return closeAfterTest(
    createClient({
      baseUrl: "https://id.example.com",
      fetch: async (input) => {
        if (!String(input).includes("/refresh")) return signIn()
        refreshes++
        return (await answers?.(refreshes)) ?? signIn()
      },
    }),
  )
}

const seconds = (count: number): Promise<unknown> => vi.advanceTimersByTimeAsync(count * 1000)

function restoredFromCache(persisted: boolean): void {
  window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted }))
}

test("a token is renewed one to two minutes before it expires, and again", async () => {
  await client().login(ada)
  await seconds(779)
  expect(refreshes).toBe(0)
  await seconds(62)
  expect(refreshes).toBe(1)
  await seconds(900)
  expect(refreshes).toBe(2)
})

test("pages renew at different times", async () => {
  const at = new Set<number>()
  for (const chance of [0, 0.5, 0.99]) {
    vi.spyOn(Math, "random").mockReturnValue(chance)
    refreshes = 0
    const began = performance.now()
    const tab = client()
    await tab.login(ada)
    while (refreshes === 0) await seconds(1)
    at.add(Math.round((performance.now() - began) / 1000))
    tab.close()
  }
  expect([...at].sort()).toEqual([781, 810, 840])
})

test("a hidden page renews when it becomes visible", async () => {
  await client().login(ada)
  page.see("hidden")
  await seconds(10_000)
  expect(refreshes).toBe(0)
  page.see("visible")
  await seconds(0)
  expect(refreshes).toBe(1)
  page.see("hidden")
  page.see("visible")
  await seconds(0)
  expect(refreshes).toBe(1)
})

test("a page from the back-forward cache renews at once", async () => {
  const tab = client()
  await tab.login(ada)
  restoredFromCache(false)
  await seconds(0)
  expect(refreshes).toBe(0)
  window.dispatchEvent(new Event("pagehide"))
  answers = () => refusal(401, "SESSION_ENDED")
  restoredFromCache(true)
  await seconds(0)
  expect(tab.getSnapshot()).toMatchObject({ status: "signedOut", reason: "SESSION_ENDED" })
  answers = () => signIn()
  restoredFromCache(true)
  await seconds(0)
  expect(tab.getSnapshot()).toMatchObject({ status: "signedIn" })
})

test("a page closes its channel on pagehide and reopens it on pageshow", async () => {
  const [one, other] = [client(), client()]
  await one.login(ada)
  await other.restore()
  expect(Channel.open.length).toBe(2)
  window.dispatchEvent(new Event("pagehide"))
  expect(Channel.open).toEqual([])
  await one.refresh()
  restoredFromCache(false)
  expect(Channel.open.length).toBe(2)
  await one.logout()
  expect(other.getSnapshot().status).toBe("signedOut")
})

test("a failed renewal is retried with backoff while the page is visible", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0.999)
  const tab = client()
  await tab.login(ada)
  const at: number[] = []
  answers = (count) => {
    if (count % 2 === 1) at.push(performance.now() / 1000) // counts attempts, because each attempt sends two requests
    return Promise.reject(new TypeError("away"))
  }
  await seconds(1200)
  const gaps = at.slice(1, 10).map((second, i) => Math.floor(second - (at[i] ?? 0)))
  expect(gaps).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60])
  expect(tab.getSnapshot().status).toBe("signedIn")
  page.see("hidden")
  const asked = refreshes
  await seconds(1000)
  expect(refreshes).toBe(asked)
})

test("the background renewal respects Retry-After", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0)
  const tab = client()
  await tab.login(ada)
  answers = () => refusal(503, "TRY_LATER", 45)
  await seconds(841)
  expect(refreshes).toBe(1)
  answers = undefined
  const timers = vi.spyOn(globalThis, "setTimeout")
  await seconds(20)
  expect(timers).not.toHaveBeenCalled() // the schedule sets no new timer during the backoff
  page.see("hidden")
  page.see("visible")
  expect(refreshes).toBe(1)
  await seconds(27)
  expect(refreshes).toBe(2)
  expect(tab.getSnapshot().status).toBe("signedIn")
})

test("a page that loads offline restores its session when it is online", async () => {
  answers = () => Promise.reject(new TypeError("away"))
  const tab = client()
  const restored = expect(tab.restore()).rejects.toMatchObject({ code: "NETWORK" })
  await seconds(1)
  await restored
  expect(tab.getSnapshot().status).toBe("unknown")
  await seconds(30)
  answers = undefined
  window.dispatchEvent(new Event("online"))
  await seconds(1)
  expect(tab.getSnapshot().status).toBe("signedIn")
})

test("tokens with a lifetime of 0 are renewed at most once a second", async () => {
  const tab = client()
  await tab.login(ada)
  answers = () => signIn(0)
  await tab.refresh()
  await seconds(10)
  expect(refreshes).toBeLessThanOrEqual(11)
})

test("a signed-out or closed client sends no request and has no timer", async () => {
  const tab = client()
  await tab.login(ada)
  await tab.logout()
  await seconds(10_000)
  expect(refreshes).toBe(0)
  await tab.login(ada)
  tab.close()
  page.see("visible")
  restoredFromCache(true)
  await seconds(10_000)
  expect(refreshes).toBe(0)
  expect(vi.getTimerCount()).toBe(0)
})

test("creating a client opens no channel, listener or timer", () => {
  const listening = vi.fn()
  vi.stubGlobal("addEventListener", listening)
  client()
  expect(Channel.open).toEqual([])
  expect(listening).not.toHaveBeenCalled()
  expect(vi.getTimerCount()).toBe(0)
})

test("the client does not touch web storage", async () => {
  const fail = (): never => {
    throw new Error("storage was touched")
  }
  const touched = new Proxy({}, { get: fail, set: fail })
  vi.stubGlobal("localStorage", touched)
  vi.stubGlobal("sessionStorage", touched)
  vi.stubGlobal("indexedDB", touched)
  const tab = client()
  await tab.restore()
  await tab.login(ada)
  await tab.refresh()
  await tab.logout()
})
