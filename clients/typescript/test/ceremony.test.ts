// Requests for passkeys in a page: cancellation, one request at a time, suggestions, errors.
import { beforeEach, expect, test, vi } from "vitest"
import { createFactors, nextStep, type NextStep } from "../src/factors.js"
import { WatchwordError, type WatchwordErrorCode } from "../src/index.js"
import { waitUntil } from "./browser.js"
import { creation, credentials, openPage, request, user, type PasskeyPage } from "./passkeypage.js"

let page: PasskeyPage
beforeEach(() => void (page = openPage()))

const options = (path: string): number => page.requestedPaths.filter((one) => one === path).length

test("a user who cancels gets an outcome and no error, and can try again", async () => {
  const { client, passkeys, authenticator, requestedPaths } = page
  await page.addPasskey("cancels")
  expect(await passkeys.signIn()).toEqual({ cancelled: true })
  expect(requestedPaths).not.toContain("passkey/login")
  const challenge = { methods: ["passkey"], expiresIn: 600, passkey: { publicKey: request } }
  expect(await passkeys.completeSignIn(challenge)).toEqual({ cancelled: true })
  await client.login(credentials)
  expect(await passkeys.stepUp()).toEqual({ cancelled: true })
  expect(await passkeys.add()).toEqual({ cancelled: true })
  expect(requestedPaths.slice(-2)).toEqual(["step-up/options", "factors/passkeys/options"])
  authenticator.user = "accepts"
  expect(await passkeys.completeSignIn(challenge)).toMatchObject({ cancelled: false, user: { id: "u" } })
})

test("a signal cancels a request, before and during the dialog", async () => {
  const { passkeys, authenticator } = page
  await page.addPasskey("waits")
  expect(await passkeys.signIn({ signal: AbortSignal.abort() })).toEqual({ cancelled: true })
  expect(authenticator.open).toBe(0)
  const stop = new AbortController()
  const outcome = passkeys.signIn({ signal: stop.signal })
  await waitUntil(() => authenticator.open === 1)
  stop.abort()
  expect(await outcome).toEqual({ cancelled: true })
  expect(authenticator.open).toBe(0)
})

test("a second click replaces the dialog of the first", async () => {
  const { passkeys, authenticator } = page
  await page.addPasskey("waits")
  const first = passkeys.signIn()
  await waitUntil(() => authenticator.open === 1)
  authenticator.user = "accepts"
  expect(await passkeys.signIn()).toMatchObject({ cancelled: false })
  expect(await first).toEqual({ cancelled: true })
})

test("suggestions wait while a dialog is open, and return if it is cancelled", async () => {
  const { client, passkeys, authenticator } = page
  await page.addPasskey("cancels")
  const suggested = passkeys.autofill({ remember: false })
  await waitUntil(() => authenticator.requests.at(-1) === "get conditional")
  expect(await passkeys.signIn()).toEqual({ cancelled: true })
  await waitUntil(() => authenticator.requests.at(-1) === "get conditional")
  expect(authenticator.requests.slice(-3)).toEqual(["get conditional", "get", "get conditional"])
  authenticator.choose()
  expect(await suggested).toMatchObject({ cancelled: false, user: { id: "u" } })
  expect(client.getSnapshot().status).toBe("signedIn")
})

test("suggestions end when the user signs in another way, and when the page closes", async () => {
  const { client, passkeys, authenticator } = page
  await page.addPasskey()
  const byPassword = passkeys.autofill()
  await waitUntil(() => authenticator.open === 1)
  await client.login(credentials)
  expect(await byPassword).toEqual({ cancelled: true })
  expect(await passkeys.autofill()).toEqual({ cancelled: true }) // the user is signed in
  await client.logout()
  const byButton = passkeys.autofill()
  await waitUntil(() => authenticator.open === 1)
  expect(await passkeys.signIn()).toMatchObject({ cancelled: false })
  expect(await byButton).toEqual({ cancelled: true })
  await client.logout()
  const stop = new AbortController()
  const byClosing = passkeys.autofill({ signal: stop.signal })
  await waitUntil(() => authenticator.open === 1)
  const again = passkeys.autofill() // React's strict mode calls autofill twice
  expect(await byClosing).toEqual({ cancelled: true })
  stop.abort()
  await waitUntil(() => authenticator.open === 1)
  authenticator.choose()
  expect(await again).toMatchObject({ cancelled: false })
  expect(authenticator.open).toBe(0)
})

test("suggestions get new options before the old ones expire, if the page is visible", async () => {
  const { passkeys, authenticator } = page
  await page.addPasskey()
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" })
  vi.stubGlobal("document", document)
  vi.useFakeTimers()
  try {
    const suggested = passkeys.autofill()
    await vi.waitFor(() => expect(authenticator.open).toBe(1))
    expect(options("passkey/options")).toBe(1)
    await vi.advanceTimersByTimeAsync(600_000)
    expect(options("passkey/options")).toBe(1) // no new options while the page is hidden
    document.visibilityState = "visible"
    document.dispatchEvent(new Event("visibilitychange"))
    await vi.waitFor(() => expect(options("passkey/options")).toBe(2))
    await vi.advanceTimersByTimeAsync(240_000)
    await vi.waitFor(() => expect(options("passkey/options")).toBe(3))
    vi.stubGlobal("document", undefined) // the renewal schedule uses members of document that the fake document lacks
    authenticator.choose()
    expect(await suggested).toMatchObject({ cancelled: false })
    expect(vi.getTimerCount()).toBeLessThan(2) // only the timer of the session's renewal remains
  } finally {
    vi.useRealTimers()
  }
})

test("suggestions wait for a server that does not respond, and end without passkeys on the server", async () => {
  const { passkeys, authenticator, answers } = page
  await page.addPasskey()
  answers["passkey/options"] = [503, { code: "TRY_LATER" }]
  vi.useFakeTimers()
  try {
    const suggested = passkeys.autofill()
    await vi.waitFor(() => expect(options("passkey/options")).toBe(1))
    answers["passkey/options"] = [200, { ceremony: "c", publicKey: request }]
    await vi.advanceTimersByTimeAsync(60_000)
    await vi.waitFor(() => expect(authenticator.open).toBe(1))
    answers["passkey/login"] = [401, { code: "INVALID_CREDENTIALS" }]
    authenticator.choose()
    await expect(suggested).rejects.toMatchObject({ code: "INVALID_CREDENTIALS" })
    expect(authenticator.signals.map(([name]) => name)).not.toContain("unknown") // the passkey may still be valid
  } finally {
    vi.useRealTimers()
  }
  answers["passkey/options"] = [404, { code: "NOT_FOUND" }]
  expect(await passkeys.autofill()).toEqual({ cancelled: true })
})

test("a step-up in the middle of a creation does not end the creation", async () => {
  const { client, passkeys, answers, requestedPaths } = page
  await page.addPasskey()
  await client.login(credentials)
  let proofs = 0
  client.onStepUp(async () => {
    proofs++
    await passkeys.stepUp()
    answers["factors/passkeys/options"] = [200, { ceremony: "c", publicKey: creation }]
  })
  answers["factors/passkeys/options"] = [401, { code: "STEP_UP_REQUIRED" }]
  expect(await passkeys.add()).toMatchObject({ cancelled: false, factor: { id: "f" } })
  expect(proofs).toBe(1)
  expect(requestedPaths.filter((path) => path === "step-up")).toHaveLength(1)
})

test("an upgrade asks for nothing", async () => {
  const { client, passkeys, authenticator, answers } = page
  expect(await passkeys.upgrade()).toEqual({ cancelled: true }) // the user is signed out
  await client.login(credentials)
  const handler = vi.fn()
  client.onStepUp(handler)
  for (const code of ["STEP_UP_REQUIRED", "FACTOR_LIMIT", "EMAIL_NOT_VERIFIED", "NOT_FOUND"]) {
    answers["factors/passkeys/options"] = [code === "STEP_UP_REQUIRED" ? 401 : 403, { code }]
    expect(await passkeys.upgrade()).toEqual({ cancelled: true })
  }
  expect(handler).not.toHaveBeenCalled()
  expect(authenticator.requests).toEqual([])
  vi.stubGlobal("PublicKeyCredential", {})
  expect(await passkeys.upgrade()).toEqual({ cancelled: true }) // an older browser
  expect(await passkeys.capabilities()).toEqual({ passkeys: true, autofill: false, upgrade: false })
})

test("a passkey that the server did not store is forgotten, unless the response was lost", async () => {
  const { client, passkeys, authenticator, answers } = page
  await client.login(credentials)
  answers["factors/passkeys"] = [500, {}]
  await expect(passkeys.add()).rejects.toMatchObject({ status: 500 })
  expect(authenticator.signals).toEqual([])
  answers["factors/passkeys"] = [422, { code: "VALIDATION_FAILED" }]
  await expect(passkeys.add({ name: "x".repeat(101) })).rejects.toMatchObject({ code: "VALIDATION_FAILED" })
  const credentialId = authenticator.passkeys.at(-1)?.id
  expect(authenticator.signals).toEqual([["unknown", { rpId: "id.example.com", credentialId }]])
})

test.each<[string, WatchwordErrorCode, NextStep]>([
  ["InvalidStateError", "PASSKEY_EXISTS", "none"],
  ["NotSupportedError", "PASSKEY_UNSUPPORTED", "otherWay"],
  ["ConstraintError", "PASSKEY_UNSUPPORTED", "otherWay"],
  ["SecurityError", "PASSKEY_ORIGIN", "otherWay"],
  ["UnknownError", "PASSKEY_FAILED", "retry"],
  ["TypeError", "PASSKEY_FAILED", "retry"],
])("a %s of the browser is %s", async (name, code, step) => {
  const { client, passkeys } = page
  await client.login(credentials)
  const cause = new DOMException("", name)
  vi.stubGlobal("navigator", { credentials: { create: () => Promise.reject(cause) } })
  const error: unknown = await passkeys.add().catch((e: unknown) => e)
  expect(error).toBeInstanceOf(WatchwordError)
  expect(error).toMatchObject({ code, status: 0, cause })
  expect((error as Error).message).toMatch(/^[A-Z].*\.$/)
  expect(nextStep(error)).toBe(step)
})

test("without passkeys in the browser, requests say so", async () => {
  const { client, passkeys } = page
  vi.stubGlobal("PublicKeyCredential", undefined)
  expect(await passkeys.capabilities()).toEqual({ passkeys: false, autofill: false, upgrade: false })
  await expect(passkeys.signIn()).rejects.toMatchObject({ code: "PASSKEY_UNSUPPORTED" })
  expect(await passkeys.autofill()).toEqual({ cancelled: true })
  const withoutPasskey = { methods: ["totp"], expiresIn: 600 }
  await expect(passkeys.completeSignIn(withoutPasskey)).rejects.toMatchObject({ code: "NOT_FOUND" })
  await client.login(credentials)
  page.answers.factors = [200, { factors: [], recoveryCodes: { left: 0 }, required: false }]
  expect(await createFactors(client).list()).toMatchObject({ factors: [] })
})

test("suggestions end if the browser refuses them", async () => {
  const { passkeys } = page
  const get = vi.fn(() => Promise.reject(new DOMException("", "SecurityError")))
  vi.stubGlobal("navigator", { credentials: { get } })
  expect(await passkeys.autofill()).toEqual({ cancelled: true })
  expect(get).toHaveBeenCalledTimes(1)
})

test("signals that fail have no effect", async () => {
  const { client, answers } = page
  await client.login(credentials)
  const fails = vi.fn(() => Promise.reject(new DOMException("", "SecurityError")))
  const throws = vi.fn(() => { throw new TypeError() })
  vi.stubGlobal("PublicKeyCredential", { signalAllAcceptedCredentials: fails, signalCurrentUserDetails: throws })
  const signal = { rpId: "id.example.com", userId: "x", allAcceptedCredentialIds: [] }
  answers.factors = [200, { factors: [], recoveryCodes: { left: 0 }, required: false, signal }]
  await createFactors(client).list()
  expect(fails).toHaveBeenCalledWith(signal)
  expect(throws).toHaveBeenCalledWith({ rpId: "id.example.com", userId: "x", name: user.email, displayName: "Ada" })
})

test("each refusal has a next step", () => {
  expect(nextStep(new WatchwordError("SECOND_FACTOR_REQUIRED", ""))).toBe("secondFactor")
  expect(nextStep(new WatchwordError("ACCOUNT_DISABLED", ""))).toBe("report")
  expect(nextStep(new Error())).toBe("report")
  expect(nextStep(undefined)).toBe("report")
})
