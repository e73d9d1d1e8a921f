// Tests with the real server, built from this repository.
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest"
import { AdminError, createAdmin, type Admin } from "../src/index.js"
import { startExample } from "./example.js"
import { password, postToUserApi, signInAdmin, signUp, startWatchword, type Watchword } from "./watchword.js"

let server: Watchword
let token = ""
let admin: Admin
const called = new Set<string>()

const recordingFetch: typeof fetch = (input, init) => {
  called.add(`${init?.method} ${new URL(String(input)).pathname}`)
  return fetch(input, init)
}

beforeAll(async () => {
  server = await startWatchword()
  token = await signInAdmin(server, "root@example.com")
  admin = createAdmin({ url: server.url, key: token, fetch: recordingFetch })
}, 180_000)

afterAll(() => server.stop())

const idOf = async (email: string): Promise<string> => (await admin.users.page({ email })).items[0]?.id ?? ""

test("an account is invited, found, changed, explained and deleted", async () => {
  const { user } = await admin.users.invite({ email: "ada@example.com", name: "Ada", roles: ["member"] })
  expect(user).toMatchObject({
    email: "ada@example.com",
    name: "Ada",
    roles: ["member"],
    state: "unverified",
    hasPassword: false,
  })
  const taken = await admin.users.create({ email: "ADA@example.com", invite: true }).catch((error: unknown) => error)
  expect(taken).toBeInstanceOf(AdminError)
  expect(taken).toMatchObject({ code: "EMAIL_TAKEN", status: 409 })
  expect((taken as AdminError).requestId).toBeTruthy()
  await expect(admin.users.invite({ email: "no address" })).rejects.toMatchObject({
    code: "VALIDATION_FAILED",
    fields: [{ field: "email" }],
  })

  const changed = await admin.users.update(user.id, { name: "Ada L.", roles: [], disabled: true })
  expect(changed.user).toMatchObject({ name: "Ada L.", roles: [], state: "disabled" })
  await admin.users.update(user.id, { disabled: false })
  expect(await admin.users.get(user.id)).toMatchObject({ user: { id: user.id, name: "Ada L." }, sessions: [] })
  expect(await admin.users.explain(user.id, { language: "de" })).toMatchObject({
    reason: expect.any(String) as unknown,
  })

  expect(await admin.users.resetMail(user.id)).toHaveProperty("message")
  expect(await admin.users.verifyMail(user.id)).toHaveProperty("message")
  expect(await admin.users.resetFactors(user.id)).toHaveProperty("message")
  expect(await admin.users.delete(user.id)).toHaveProperty("message")
  await expect(admin.users.get(user.id)).rejects.toMatchObject({ code: "NOT_FOUND" })
}, 30_000)

test("a list returns the accounts of all its pages", async () => {
  const emails = ["page1@example.com", "page2@example.com", "page3@example.com"]
  for (const email of emails) await admin.users.invite({ email })
  const found: string[] = []
  for await (const user of admin.users.list({ email: "page", limit: 1 })) found.push(user.email)
  expect(found).toEqual(emails)
  const first = await admin.users.page({ email: "page", limit: 1 })
  const rest: string[] = []
  for await (const user of admin.users.list({ email: "page", limit: 1, after: first.next })) rest.push(user.email)
  expect(rest).toEqual(emails.slice(1))
  await expect(admin.users.page({ email: "pag", after: first.next })).rejects.toMatchObject({
    code: "PARAMETER_INVALID",
  })
})

test("one session of an account ends, and then all of them", async () => {
  const tokens = [await signUp(server, "grace@example.com")]
  for (let i = 0; i < 2; i++) {
    const login = { email: "grace@example.com", password, delivery: "body" }
    tokens.push((await postToUserApi(server, "/api/auth/login", login)).accessToken ?? "")
  }
  const id = await idOf("grace@example.com")
  const sessions = await admin.sessions.list(id)
  expect(sessions).toHaveLength(3)
  const one = sessions[0]?.id ?? ""
  expect(await admin.sessions.end(id, one)).toEqual({ ended: 1 })
  await expect(admin.sessions.end(id, one)).rejects.toMatchObject({ code: "NOT_FOUND" })
  expect((await admin.sessions.list(id)).map((session) => session.id)).not.toContain(one)
  expect(await admin.sessions.endAll(id)).toEqual({ ended: 2 })
  const explained = await admin.users.explain(id)
  expect(explained).toMatchObject({ reason: "ended_by_operator", session: expect.any(String) as unknown })
  expect(explained.others).toHaveLength(2)
})

test("metadata is patched with the version that was read", async () => {
  await signUp(server, "bo@example.com")
  const id = await idOf("bo@example.com")
  expect(await admin.metadata.get(id)).toEqual({ version: 0, public: {}, private: {} })
  const first = await admin.metadata.patch(
    id,
    { public: { plan: "pro", trial: true }, private: { crm: 7 } },
    { version: 0 },
  )
  expect(first).toEqual({ version: 1, public: { plan: "pro", trial: true }, private: { crm: 7 } })
  await expect(admin.metadata.patch(id, { public: { plan: "free" } }, { version: 0 })).rejects.toMatchObject({
    code: "VERSION_CHANGED",
    status: 412,
  })
  expect((await admin.metadata.patch(id, { public: { trial: null } })).public).toEqual({ plan: "pro" })
})

test("a user and an unknown key are refused, and the last administrator stays", async () => {
  const user = createAdmin({ url: server.url, key: await signUp(server, "eve@example.com") })
  await expect(user.users.page()).rejects.toMatchObject({ code: "INSUFFICIENT_SCOPE", status: 403 })
  const stranger = createAdmin({ url: server.url, key: "wwk_1_unknown" })
  await expect(stranger.users.page()).rejects.toMatchObject({ status: 401 })
  const root = await idOf("root@example.com")
  await expect(admin.users.update(root, { disabled: true })).rejects.toMatchObject({ code: "LAST_ADMIN" })
  await expect(admin.users.update(root, { roles: [] })).rejects.toMatchObject({ code: "OWN_ROLES" })
})

test("a service key does what its scopes allow, until it is revoked", async () => {
  const { id, key = "" } = await admin.serviceKeys.create({ name: "billing", scopes: ["users:read"], expiresIn: 3600 })
  expect(key).toMatch(/^wwk_/)
  const program = createAdmin({ url: server.url, key, fetch: recordingFetch })
  expect((await program.users.page({ email: "root" })).items).toHaveLength(1)
  await expect(program.users.invite({ email: "no@example.com" })).rejects.toMatchObject({
    code: "INSUFFICIENT_SCOPE",
    status: 403,
  })
  await expect(program.serviceKeys.create({ name: "x", scopes: ["users:read"] })).rejects.toMatchObject({
    code: "INSUFFICIENT_SCOPE",
  })
  const other = await server.command(["service-keys", "create", "profiles", "--scope", "users:read,sessions:end"])
  const names: string[] = []
  for await (const one of admin.serviceKeys.list({ limit: 1 })) names.push(`${one.name} ${one.state}`)
  expect(names).toEqual(["profiles active", "billing active"])
  await admin.serviceKeys.revoke(id)
  await expect(program.users.page()).rejects.toMatchObject({ code: "TOKEN_INVALID", status: 401 })
  await expect(admin.serviceKeys.revoke(id)).rejects.toMatchObject({ code: "NOT_FOUND" })
  const profiles = createAdmin({ url: server.url, key: other.trim() })
  expect(await profiles.sessions.list(await idOf("root@example.com"))).toHaveLength(1)
})

test("a write whose response is lost happens once", async () => {
  let lost = 0
  const losing: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    if (lost++ > 0) return response
    await response.text()
    throw new TypeError("the connection is cut")
  }
  const unlucky = createAdmin({ url: server.url, key: token, fetch: losing })
  const { user } = await unlucky.users.invite({ email: "once@example.com" })
  expect([lost, user.id]).toEqual([2, await idOf("once@example.com")])

  lost = 0
  const created = await unlucky.serviceKeys.create({ name: "lost", scopes: ["mail"] })
  expect(created).toEqual({ id: expect.any(String) as unknown }) // without the key, which is shown once
  await admin.serviceKeys.revoke(created.id)

  const idempotencyKey = crypto.randomUUID()
  const made = await admin.users.invite({ email: "job@example.com" }, { idempotencyKey })
  expect((await admin.users.invite({ email: "job@example.com" }, { idempotencyKey })).user.id).toBe(made.user.id)
  await expect(admin.users.invite({ email: "job2@example.com" }, { idempotencyKey })).rejects.toMatchObject({
    code: "VALIDATION_FAILED",
  })
})

test("events, mails, keys and figures are read", async () => {
  const { user } = await admin.users.invite({ email: "event@example.com" })
  expect(await admin.users.inviteMail(user.id)).toHaveProperty("message")
  const kinds: string[] = []
  for await (const event of admin.events.list({ user: user.id, limit: 1 })) kinds.push(event.kind)
  expect(kinds).toContain("signup")
  expect((await admin.events.page({ user: user.id, to: "2001-01-01T00:00:00Z" })).items).toEqual([])
  for await (const mail of admin.mails.list()) expect(mail.to).toContain("@")
  await expect(admin.mails.retry(crypto.randomUUID())).rejects.toMatchObject({ code: "NOT_FOUND" })
  expect((await admin.keys.list()).map((one) => one.state)).toContain("active")
  expect((await admin.keys.rotate("refresh")).map((one) => one.use)).toContain("refresh")
  expect(await admin.stats()).toMatchObject({
    accounts: expect.any(Number) as unknown,
    hours: expect.any(Array) as unknown,
  })
})

test("the example creates a profile, sets its plan and signs the user out", async () => {
  const example = await startExample(server)
  onTestFinished(() => example.stop())
  const ask = async (path: string, body?: object, token = ""): Promise<{ status: number; body: unknown }> => {
    const headers = { Authorization: `Bearer ${token}` }
    const init = body ? { method: "POST", body: JSON.stringify(body) } : { headers }
    const response = await fetch(example.url + path, init)
    return { status: response.status, body: await response.json() }
  }
  const token = await signUp(server, "new@example.com")
  const id = await idOf("new@example.com")
  expect(await ask("/profile")).toMatchObject({ status: 401 })
  const profile = { id, name: "new@example.com", plan: "free" }
  expect(await ask("/profile", undefined, token)).toEqual({ status: 200, body: profile })
  expect(await ask("/plan", { id, plan: "pro" })).toEqual({ status: 200, body: { ...profile, plan: "pro" } })
  expect(await ask("/profile", undefined, token)).toEqual({ status: 200, body: { ...profile, plan: "pro" } })
  expect((await admin.metadata.get(id)).public).toEqual({ plan: "pro" })
  expect(await ask("/plan", { id: "unknown", plan: "pro" })).toEqual({ status: 404, body: { error: "NOT_FOUND" } })
  expect(await ask("/sign-out", { id })).toEqual({ status: 200, body: { ended: 1 } })
  await expect
    .poll(async () => (await ask("/profile", undefined, token)).body, { timeout: 5_000 })
    .toMatchObject({ code: "SESSION_ENDED" })
  expect(example.output()).not.toContain("wwk_")
}, 30_000)

// This test is the last, because it checks which operations the other tests have called.
test("every operation of the document is called by a method", async () => {
  const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { tags?: string[] }>>
  }
  const missing: string[] = []
  for (const [path, methods] of Object.entries(document.paths)) {
    const pattern = path.replace(/\{\w+\}/g, "[^/]+")
    for (const [method, { tags }] of Object.entries(methods)) {
      const shape = new RegExp(`^${method.toUpperCase()} ${pattern}$`)
      if (tags?.includes("administration") && ![...called].some((one) => shape.test(one))) {
        missing.push(`${method} ${path}`)
      }
    }
  }
  expect(missing).toEqual([])
  expect(called.size).toBeGreaterThan(10)
})
