// The hooks for passkeys and factors, with a fake useSyncExternalStore instead of React.
import { beforeEach, expect, test, vi } from "vitest"
import type { FactorsAnswer } from "../src/factors.js"
import { useFactors, usePasskeySignIn, useStepUp } from "../src/react.js"
import { credentials, openPage, type PasskeyPage } from "./passkeypage.js"
import { waitUntil } from "./browser.js"

vi.mock("react", () => ({
  useSyncExternalStore: (subscribe: (change: () => void) => () => void, get: () => unknown) => {
    mounted = subscribe
    return get()
  },
}))
let mounted: (change: () => void) => () => void

/** `now` returns the hook's result of the last render. */
function mountHook<T>(hook: () => T): { now(): T; renders: number; unmount(): void } {
  let shown = hook()
  const component = { now: () => shown, renders: 0, unmount: () => {} }
  component.unmount = mounted(() => {
    component.renders++
    shown = hook()
  })
  shown = hook()
  return component
}

let page: PasskeyPage
beforeEach(() => void (page = openPage()))

const listOf = (...names: string[]): [number, FactorsAnswer] => {
  const factors = names.map((name) => ({ id: name, kind: "passkey", name, createdAt: "" }))
  return [200, { factors, recoveryCodes: { left: 10 }, required: false }]
}

test("useFactors loads the list, and again after each change", async () => {
  const { client, answers } = page
  answers.factors = listOf("laptop")
  const component = mountHook(() => useFactors(client))
  const names = (): string[] | undefined => component.now().list?.factors.map((one) => one.name)
  expect(component.now()).toMatchObject({ list: undefined, busy: false, error: undefined })
  await client.login(credentials)
  await waitUntil(() => component.now().list !== undefined)
  expect(names()).toEqual(["laptop"])
  expect(component.now().capabilities).toEqual({ passkeys: true, autofill: true, upgrade: true })

  answers.factors = listOf("laptop", "phone")
  const added = component.now().addPasskey({ name: "phone" })
  expect(component.now().busy).toBe(true)
  expect(await added).toMatchObject({ cancelled: false, factor: { id: "f" } })
  await waitUntil(() => names()?.length === 2)
  expect(component.now().busy).toBe(false)
  answers["factors/laptop"] = [409, { code: "LAST_WAY_IN" }]
  await expect(component.now().remove("laptop")).rejects.toMatchObject({ code: "LAST_WAY_IN" })
  answers["factors/laptop"] = [200, { message: "" }]
  answers.factors = listOf("phone")
  await component.now().remove("laptop")
  await waitUntil(() => names()?.length === 1)

  answers.factors = [503, { code: "TRY_LATER" }]
  await component.now().reload()
  expect(component.now()).toMatchObject({ error: { code: "TRY_LATER" }, list: { required: false } })
  await client.logout()
  expect(component.now()).toMatchObject({ list: undefined, error: undefined })
  const { renders } = component
  component.unmount()
  await client.login(credentials)
  expect(component.renders).toBe(renders)
})

test("useFactors drops the list of a user who has signed out", async () => {
  const { client, answers } = page
  let respond = (_: [number, object]): void => {}
  answers.factors = new Promise((resolve) => (respond = resolve))
  const component = mountHook(() => useFactors(client))
  await client.login(credentials)
  await waitUntil(() => page.requestedPaths.includes("factors"))
  await client.logout()
  respond(listOf("of the last user"))
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(component.now().list).toBeUndefined()
})

test("usePasskeySignIn suggests passkeys while it is mounted, and shows errors", async () => {
  const { client, answers, authenticator, bodies } = page
  await page.addPasskey()
  let remember = true
  const component = mountHook(() => usePasskeySignIn(client, { remember }))
  await waitUntil(() => authenticator.open === 1)
  answers["passkey/login"] = [401, { code: "INVALID_CREDENTIALS" }]
  authenticator.choose()
  await waitUntil(() => component.now().error !== undefined)
  expect(component.now().error).toMatchObject({ code: "INVALID_CREDENTIALS" })
  await waitUntil(() => authenticator.open === 1) // the hook must suggest passkeys again

  authenticator.user = "cancels"
  expect(await component.now().signIn()).toBe(false)
  expect(component.now()).toMatchObject({ error: undefined, busy: false })
  await waitUntil(() => authenticator.open === 1)
  answers["passkey/login"] = page.signedIn
  remember = false // the user clears the check box while the browser suggests passkeys
  mountHook(() => usePasskeySignIn(client, { remember })).unmount()
  authenticator.choose()
  await waitUntil(() => client.getSnapshot().status === "signedIn")
  expect(bodies["passkey/login"]).toMatchObject({ remember: false })

  await client.logout()
  component.unmount()
  const closed = mountHook(() => usePasskeySignIn(client))
  await waitUntil(() => authenticator.open === 1)
  closed.unmount()
  await waitUntil(() => authenticator.open === 0)
})

test("usePasskeySignIn completes a sign-in, and reports a browser without passkeys", async () => {
  const { client, answers } = page
  await page.addPasskey()
  const component = mountHook(() => usePasskeySignIn(client))
  answers.login = page.challenged
  const error = (await client.login(credentials).catch((e: unknown) => e)) as { challenge: never }
  expect(await component.now().completeSignIn(error.challenge, { rememberDevice: true })).toBe(true)
  expect(page.bodies["login/factor"]).toMatchObject({ rememberDevice: true })
  await client.logout()
  vi.stubGlobal("PublicKeyCredential", undefined)
  expect(await component.now().signIn()).toBe(false)
  expect(component.now().error).toMatchObject({ code: "PASSKEY_UNSUPPORTED" })
})

test("a dialog of useStepUp stays if the user cancels the passkey, and closes after one", async () => {
  const { client, passkeys, answers, authenticator } = page
  await page.addPasskey()
  await client.login(credentials)
  const component = mountHook(() => useStepUp(client))
  answers["email/change"] = [401, { code: "STEP_UP_REQUIRED" }]
  const changed = client.changeEmail({ newEmail: "eve@example.com", password: "x" })
  await waitUntil(() => component.now().challenge !== undefined)
  authenticator.user = "cancels"
  await component.now().prove(passkeys.stepUp)
  expect(component.now().challenge).toBeDefined()
  authenticator.user = "accepts"
  answers["email/change"] = [200, { message: "sent" }]
  await component.now().prove(passkeys.stepUp)
  expect(await changed).toEqual({ message: "sent" })
  expect(component.now().challenge).toBeUndefined()
})
