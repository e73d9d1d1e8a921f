// Step-up (RFC 9470) with a small server. factors.test.ts tests it with the real server.
import { expect, test, vi } from "vitest"
import { WatchwordError, type StepUpChallenge } from "../src/index.js"
import { createFactors } from "../src/factors.js"
import { useStepUp, type StepUpPrompt } from "../src/react.js"
import { ada, Browser, settableClock, createGate, waitUntil, withLocks } from "./browser.js"
import { TestServer } from "./server.js"

let unmount: () => void
vi.mock("react", () => ({
  useSyncExternalStore: (subscribe: (change: () => void) => () => void, get: () => unknown) => {
    unmount = subscribe(() => {})
    return get()
  },
}))

async function signedIn() {
  const server = await TestServer.start()
  const browser = new Browser()
  const tab = browser.tab(server.url)
  await tab.login(ada)
  return { server, browser, tab, sensitive: `${server.url}/sensitive` }
}

const right = { totp: "123456" }

test("without a handler, a step-up challenge is returned and nothing is repeated", async () => {
  const { server, tab, sensitive } = await signedIn()
  const response = await tab.fetch(sensitive)
  expect(response.status).toBe(401)
  expect(await response.json()).toMatchObject({ code: "INSUFFICIENT_USER_AUTHENTICATION" })
  await expect(createFactors(tab).list()).rejects.toMatchObject({ code: "STEP_UP_REQUIRED", status: 401 })
  expect(server.refreshes).toBe(0)
  expect(server.count("/sensitive")).toBe(1)
  expect(server.count("/api/auth/factors")).toBe(1)
})

test("20 requests call the handler once and are each sent twice", async () => {
  const { server, tab, sensitive } = await signedIn()
  const asked: StepUpChallenge[] = []
  tab.onStepUp(async (challenge) => {
    asked.push(challenge)
    await tab.stepUp(right)
  })
  const all = Array.from({ length: 20 }, () => tab.fetch(sensitive, { method: "POST", body: "x" }))
  const responses = await Promise.all(all)
  expect(responses.map((one) => one.status)).toEqual(Array(20).fill(200))
  expect(await responses[7]?.json()).toEqual({ method: "POST", body: "x" })
  expect(asked).toEqual([{ acrValues: ["aal2", "phr"], maxAge: 300 }])
  expect(server.count("/sensitive")).toBe(40)
  expect(server.count("/api/auth/step-up")).toBe(1)
  expect((await tab.fetch(sensitive)).status).toBe(200)
  expect(await createFactors(tab).list()).toMatchObject({ factors: [] })
  expect(asked).toHaveLength(1)
  expect(server.refreshes).toBe(0)
})

test("a request that was sent before the proof and refused after it is repeated without a question", async () => {
  const { server, browser, tab, sensitive } = await signedIn()
  const handler = vi.fn(() => tab.stepUp(right))
  tab.onStepUp(handler)
  const late = createGate()
  let held = 0
  browser.onAnswer = (url) => (url === sensitive && ++held === 1 ? late.opened : undefined)
  const first = tab.fetch(sensitive)
  await waitUntil(() => held === 1)
  expect((await tab.fetch(sensitive)).status).toBe(200)
  late.open()
  expect((await first).status).toBe(200)
  expect(handler).toHaveBeenCalledTimes(1)
  expect(server.count("/sensitive")).toBe(4)
})

test("a server that refuses the proven token too gets no third request", async () => {
  const { server, tab, sensitive } = await signedIn()
  const handler = vi.fn(async () => {
    await tab.stepUp(right)
    for (const session of server.sessions.values()) session.proven = false
    await tab.refresh()
  })
  tab.onStepUp(handler)
  expect((await tab.fetch(sensitive)).status).toBe(401)
  expect(handler).toHaveBeenCalledTimes(1)
  expect(server.count("/sensitive")).toBe(2)
  await expect(createFactors(tab).list()).rejects.toMatchObject({ code: "STEP_UP_REQUIRED" })
  expect(server.count("/api/auth/factors")).toBe(2)
})

test("a cancelled step-up ends the requests with their 401, and a later request asks again", async () => {
  const { server, tab, sensitive } = await signedIn()
  const handler = vi.fn()
  const remove = tab.onStepUp(handler)
  const one = await tab.fetch(sensitive)
  expect(one.status).toBe(401)
  expect(await one.json()).toMatchObject({ code: "INSUFFICIENT_USER_AUTHENTICATION" })
  expect(handler).toHaveBeenCalledTimes(1)
  await expect(createFactors(tab).list()).rejects.toMatchObject({ code: "STEP_UP_REQUIRED" })
  expect(handler).toHaveBeenCalledTimes(2)
  remove()
  expect((await tab.fetch(sensitive)).status).toBe(401)
  expect(handler).toHaveBeenCalledTimes(2)
  expect(server.count("/sensitive")).toBe(2)
})

test("an error of the handler is the error of the request", async () => {
  const { tab, sensitive } = await signedIn()
  tab.onStepUp(() => {
    throw new RangeError("no dialog")
  })
  await expect(tab.fetch(sensitive)).rejects.toThrow("no dialog")
})

test("the signal of a request also ends the wait for the user", async () => {
  const { tab, sensitive } = await signedIn()
  const open = createGate()
  tab.onStepUp(() => open.opened)
  const controller = new AbortController()
  const waiting = tab.fetch(new Request(sensitive, { signal: controller.signal }))
  const other = tab.fetch(sensitive)
  setTimeout(() => controller.abort(new Error("the page was left")), 50)
  await expect(waiting).rejects.toThrow("the page was left")
  open.open()
  expect((await other).status).toBe(401)
})

test("a wrong proof and a password for an account with a factor do not call the handler again", async () => {
  const { server, tab, sensitive } = await signedIn()
  const errors: unknown[] = []
  tab.onStepUp(async () => {
    for (const proof of [{ totp: "000000" }, { password: ada.password }, right]) {
      await tab.stepUp(proof).catch((error: unknown) => errors.push(error))
    }
  })
  expect((await tab.fetch(sensitive)).status).toBe(200)
  expect(errors).toMatchObject([{ code: "FACTOR_WRONG", status: 403 }, { code: "STEP_UP_REQUIRED", status: 401 }])
  expect(errors.every((error) => error instanceof WatchwordError)).toBe(true)
  expect(server.count("/sensitive")).toBe(2)
})

test("an expired token is renewed before the user is asked, and a Request keeps its body", async () => {
  const { server, tab, sensitive } = await signedIn()
  const handler = vi.fn(() => tab.stepUp(right))
  tab.onStepUp(handler)
  server.expireTokens()
  const response = await tab.fetch(new Request(sensitive, { method: "PUT", body: "once" }))
  expect(await response.json()).toEqual({ method: "PUT", body: "once" })
  expect(server.count("/sensitive")).toBe(3)
  expect(server.refreshes).toBe(1)
  expect(handler).toHaveBeenCalledTimes(1)
})

test("a stream is not sent again, but the user is asked for the next request", async () => {
  const { server, tab, sensitive } = await signedIn()
  tab.onStepUp(() => tab.stepUp(right))
  const body = new Blob(["x"]).stream()
  expect((await tab.fetch(sensitive, { method: "POST", body })).status).toBe(401)
  expect(server.count("/sensitive")).toBe(1)
  expect((await tab.fetch(sensitive)).status).toBe(200)
})

test("a proof during a refresh wins over the token of the refresh", async () => {
  const { server, browser, tab, sensitive } = await signedIn()
  const slow = createGate()
  let refreshed = false
  browser.onAnswer = async (url) => {
    if (!url.endsWith("/refresh?optional=true") && !url.endsWith("/refresh")) return
    refreshed = true
    await slow.opened
  }
  const refresh = tab.refresh()
  await waitUntil(() => refreshed) // the server issued the token of this refresh before the proof
  const proven = tab.stepUp(right)
  await waitUntil(() => server.count("/api/auth/step-up") === 1)
  slow.open()
  await Promise.all([refresh, proven])
  expect((await tab.fetch(sensitive)).status).toBe(200)
  expect(server.count("/sensitive")).toBe(1)
})

test("the other tabs get the token of a step-up", async () => {
  withLocks()
  const { server, browser, tab, sensitive } = await signedIn()
  const other = browser.tab(server.url)
  await other.restore()
  await tab.stepUp(right)
  await expect.poll(async () => (await other.fetch(sensitive)).status).toBe(200)
})

test("a step-up after a sign-out starts no session", async () => {
  const { server, tab } = await signedIn()
  const slow = createGate()
  server.onStepUp = () => slow.opened.then(() => undefined)
  const proven = tab.stepUp(right)
  await waitUntil(() => server.count("/api/auth/step-up") === 1)
  const signedOut = tab.logout()
  slow.open()
  await Promise.all([proven, signedOut])
  expect(tab.getSnapshot().status).toBe("signedOut")
  await expect(tab.stepUp(right)).rejects.toMatchObject({ code: "TOKEN_MISSING" })
})

test("a request of a user who signs out during the question is not sent as another user", async () => {
  const { server, tab, sensitive } = await signedIn()
  tab.onStepUp(async () => {
    await tab.logout()
    await tab.login({ email: "bob@example.com", password: "nine yellow herons" })
    await tab.stepUp(right)
  })
  await expect(tab.fetch(sensitive)).rejects.toMatchObject({ code: "SESSION_ENDED" })
  expect(server.count("/sensitive")).toBe(1)
})

test("a gateway's 401 without a body and a code is recognised by its header", async () => {
  const { server, browser } = await signedIn()
  const bare = vi.fn<typeof fetch>(async (input, init) => {
    if (!String(input).endsWith("/sensitive")) return browser.fetch(input, init)
    if (bare.mock.calls.length > 2) return new Response("fine")
    const headers = { "WWW-Authenticate": 'Bearer error="insufficient_user_authentication", max_age=60' }
    return new Response("<html>", { status: 401, headers })
  })
  const tab = browser.tab(server.url, { fetch: bare })
  await tab.restore()
  const asked: StepUpChallenge[] = []
  tab.onStepUp(async (challenge) => {
    asked.push(challenge)
    await tab.stepUp(right)
  })
  expect(await (await tab.fetch(`${server.url}/sensitive`)).text()).toBe("fine")
  expect(asked).toEqual([{ acrValues: [], maxAge: 60 }])
})

test("the React hook shows the challenge, proves, and cancels", async () => {
  const { tab, sensitive } = await signedIn()
  const hook = (): StepUpPrompt => useStepUp(tab)
  const idle = hook()
  expect(idle.challenge).toBe(undefined)
  expect(hook()).toBe(idle)
  unmount()
  const stop = mountHook(hook)
  const cancelled = tab.fetch(sensitive)
  await vi.waitFor(() => expect(currentPrompt(hook).challenge).toEqual({ acrValues: ["aal2", "phr"], maxAge: 300 }))
  currentPrompt(hook).cancel()
  expect((await cancelled).status).toBe(401)
  expect(currentPrompt(hook).challenge).toBe(undefined)

  const proven = tab.fetch(sensitive)
  await vi.waitFor(() => expect(currentPrompt(hook).challenge).toBeDefined())
  await expect(currentPrompt(hook).prove({ totp: "000000" })).rejects.toMatchObject({ code: "FACTOR_WRONG" })
  expect(currentPrompt(hook).challenge).toBeDefined()
  await currentPrompt(hook).prove(right)
  expect((await proven).status).toBe(200)
  expect(currentPrompt(hook).challenge).toBe(undefined)
  stop()
})

/** Returns the function that unmounts the hook. */
function mountHook(hook: () => StepUpPrompt): () => void {
  hook()
  return unmount
}

function currentPrompt(hook: () => StepUpPrompt): StepUpPrompt {
  const now = hook()
  unmount()
  return now
}

test("a component that unmounts ends the wait", async () => {
  const { server, tab, sensitive } = await signedIn()
  const time = settableClock()
  const stop = mountHook(() => useStepUp(tab))
  const waiting = tab.fetch(sensitive)
  await waitUntil(() => server.count("/sensitive") === 1)
  await vi.waitFor(() => expect(currentPrompt(() => useStepUp(tab)).challenge).toBeDefined())
  stop()
  expect((await waiting).status).toBe(401)
  time.advance(1)
  expect((await tab.fetch(sensitive)).status).toBe(401)
  expect(server.count("/sensitive")).toBe(2)
})
