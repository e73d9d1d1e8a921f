// Tests with the real server, built from this repository.
import { afterAll, beforeAll, expect, test } from "vitest"
import { createClient, type Client } from "../src/index.js"
import { Browser, closeAfterTest, withLocks } from "./browser.js"
import { startWatchword, type Watchword } from "./watchword.js"

let server: Watchword
let url = ""

beforeAll(async () => {
  server = await startWatchword("--refresh-grace", "1s")
  url = server.url
}, 180_000)

afterAll(() => server.stop())

function program(): { client: Client; kept: { token?: string } } {
  const kept: { token?: string } = {}
  const storage = {
    get: () => kept.token,
    set: (token: string) => void (kept.token = token),
    remove: () => void delete kept.token,
  }
  return { client: closeAfterTest(createClient({ baseUrl: url, storage })), kept }
}

const password = "seven purple otters"

test("a program signs up, refreshes, lists and ends sessions, and signs out", async () => {
  const { client, kept } = program()
  const email = "ada@example.com"
  expect(await client.register({ email, password, name: "Ada" })).toMatchObject({
    user: { email, name: "Ada", emailVerified: false, roles: [] },
  })
  expect(client.getSnapshot()).toMatchObject({ status: "signedIn", user: { email } })
  expect(kept.token).toMatch(/^wwr_/)

  expect(await client.me()).toMatchObject({ user: { email } })
  const [token, refreshToken] = [await client.getAccessToken(), kept.token]
  await client.refresh()
  expect(await client.getAccessToken()).not.toBe(token)
  expect(kept.token).not.toBe(refreshToken)

  const other = program().client
  await other.login({ email, password, remember: false })
  const { sessions } = await client.sessions()
  expect(sessions.map((one) => one.current).sort()).toEqual([false, true])
  const theirs = sessions.find((one) => !one.current)?.id ?? ""
  await client.endSession(theirs)
  await expect(other.me()).rejects.toMatchObject({ code: "SESSION_ENDED" })
  expect(other.getSnapshot()).toEqual({ status: "signedOut", user: undefined, reason: "SESSION_ENDED" })

  await client.logout()
  expect(kept).toEqual({})
  await expect(client.me()).rejects.toMatchObject({ code: "TOKEN_MISSING", status: 401 })
  expect(await client.refresh()).toMatchObject({ status: "signedOut" })
})

test("a program changes and deletes its account", async () => {
  const { client } = program()
  const email = "grace@example.com"
  await client.register({ email, password })
  expect((await client.updateMe({ name: "Grace" })).user.name).toBe("Grace")
  expect(client.getSnapshot().user?.name).toBe("Grace")
  const newPassword = "nine yellow herons"
  await expect(client.changePassword({ currentPassword: "not the one", newPassword })).rejects.toMatchObject({
    code: "PASSWORD_WRONG",
    status: 403,
  })
  expect(await client.changePassword({ currentPassword: password, newPassword })).toHaveProperty("message")
  expect(await client.changeEmail({ newEmail: "g@example.com", password: newPassword })).toHaveProperty("message")
  expect(await client.forgot({ email })).toHaveProperty("message")
  expect(await client.resendVerification({ email })).toHaveProperty("message")
  const token = "not a token"
  await expect(client.reset({ token, password: "four green herons" })).rejects.toMatchObject({
    code: "MAIL_TOKEN_INVALID",
  })
  for (const consume of [client.verifyEmail, client.confirmEmail, client.undoEmail]) {
    await expect(consume({ token })).rejects.toMatchObject({ code: "MAIL_TOKEN_INVALID", status: 400 })
  }
  await expect(client.login({ email, password })).rejects.toMatchObject({ code: "INVALID_CREDENTIALS" })
  await expect(client.register({ email, password: "short" })).rejects.toMatchObject({
    code: "VALIDATION_FAILED",
    fields: [{ field: "password", code: "PASSWORD_TOO_SHORT" }],
  })
  expect(await client.logoutAll({ keepCurrent: true })).toMatchObject({ ended: 0 })
  await client.deleteMe({ password: newPassword })
  expect(client.getSnapshot().status).toBe("signedOut")
  await expect(client.login({ email, password: newPassword })).rejects.toMatchObject({
    code: "INVALID_CREDENTIALS",
  })
})

interface Plan {
  plan?: string
  seats?: number
}

test("me returns the metadata of the account, with the application's type", async () => {
  let kept: string | undefined
  const storage = { get: () => kept, set: (token: string) => void (kept = token), remove: () => {} }
  const client = closeAfterTest(createClient<Plan>({ baseUrl: url, storage }))
  const email = "hedy@example.com"
  await client.register({ email, password })
  expect((await client.me()).metadata).toEqual({})
  await server.runCommand("users", "set", email, 'plan="pro"', "seats=5")
  const { metadata } = await client.me()
  const plan: string | undefined = metadata.plan
  expect([plan, metadata.seats]).toEqual(["pro", 5])
  // @ts-expect-error the type has no such member
  expect(metadata.price).toBeUndefined()
  expect(await client.updateMe({ name: "Hedy" })).toMatchObject({ user: { name: "Hedy" }, metadata: { plan: "pro" } })
})

async function tokenMailedTo(to: string): Promise<string> {
  for (const began = Date.now(); Date.now() - began < 20_000; ) {
    const mail = (await server.readMails()).find((text) => text.includes(to))
    const token = /#token=([\w-]+)/.exec(mail ?? "")?.[1]
    if (token) return token
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`no mail came to ${to}`)
}

test("an address is verified by the session, or by the password, which also signs in", async () => {
  const { client } = program()
  await client.register({ email: "mary@example.com", password })
  const token = await tokenMailedTo("mary@example.com")
  const stranger = program()
  await expect(stranger.client.verifyEmail({ token })).rejects.toMatchObject({ code: "PASSWORD_REQUIRED", status: 403 })
  await expect(stranger.client.verifyEmail({ token, password: "not the one" })).rejects.toMatchObject({
    code: "PASSWORD_WRONG",
  })
  expect(await client.verifyEmail({ token })).toEqual({ message: "Your address is confirmed." })
  expect((await client.me()).user.emailVerified).toBe(true)

  await program().client.register({ email: "rosa@example.com", password })
  const second = { token: await tokenMailedTo("rosa@example.com"), password, remember: false }
  expect(await stranger.client.verifyEmail(second)).toMatchObject({
    user: { email: "rosa@example.com", emailVerified: true },
  })
  expect(stranger.client.getSnapshot()).toMatchObject({ status: "signedIn", user: { email: "rosa@example.com" } })
  expect(stranger.kept.token).toMatch(/^wwr_/)
})

test("a response that is lost for longer than the grace period does not sign out", async () => {
  const { client, kept } = program()
  await client.register({ email: "tim@example.com", password })
  await client.refresh()
  const before = kept.token
  await client.refresh()
  kept.token = before ?? "" // the client has only the old token, as after a lost response
  await new Promise((resolve) => setTimeout(resolve, 1200))
  expect(await client.refresh()).toMatchObject({ status: "signedIn" })
})

test("tabs of a browser share one session by cookie", async () => {
  withLocks()
  const browser = new Browser()
  const own = (input: RequestInfo | URL, init?: RequestInit) => {
    const headers = new Headers(init?.headers)
    headers.set("Origin", url) // as browsers do; without it the server rejects the cookie
    return browser.fetch(input, { ...init, headers })
  }
  const tabs = Array.from({ length: 5 }, () => browser.tab(url, { fetch: own }))
  await tabs[0]?.register({ email: "joan@example.com", password })
  const found = await Promise.all(tabs.map((tab) => tab.restore()))
  expect(found.map((one) => one.status)).toEqual(Array(5).fill("signedIn"))
  await Promise.all(tabs.map((tab) => tab.me()))
  await tabs[1]?.logout()
  await expect.poll(() => tabs.map((tab) => tab.getSnapshot().status)).toEqual(Array(5).fill("signedOut"))
})
