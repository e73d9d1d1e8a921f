// These tests send requests to a server on loopback, whose responses each test chooses.
import { readFileSync } from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import { afterAll, expect, test } from "vitest"
import { AdminError, createAdmin, type Admin, type AdminOptions } from "../src/index.js"

const key = "wwk_1_a-secret-of-a-test"
const user = "0197f0c8-0000-7000-8000-000000000001"

const servers: Server[] = []
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

type Answer = (response: ServerResponse, request: IncomingMessage) => void
interface Asked {
  line: string
  headers: IncomingMessage["headers"]
  body: string
}

/** The last response is repeated. */
async function serveResponses(
  ...answers: Answer[]
): Promise<{ url: string; asked: Asked[]; admin: (options?: Partial<AdminOptions>) => Admin }> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (part) => (body += String(part)))
    request.on("end", () => {
      asked.push({ line: `${request.method} ${request.url}`, headers: request.headers, body })
      answers[Math.min(asked.length, answers.length) - 1]?.(response, request)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  servers.push(server)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, asked, admin: (options) => createAdmin({ url, key, ...options }) }
}

const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Answer => {
  return (response) =>
    response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body))
}
const cut: Answer = (response) => response.destroy()
const half: Answer = (response) => {
  response.writeHead(200, { "Content-Length": "100" }).write('{"ended"')
  setImmediate(() => response.destroy())
}
const never: Answer = () => {}
const busy = (after: string): Answer => json({ code: "TRY_LATER", detail: "Try again." }, 503, { "Retry-After": after })
const done = json({ ended: 2 })

/** The server can't count the calls, because a request can be aborted before it arrives. */
function countingFetch(): [() => number, typeof fetch] {
  let sent = 0
  return [() => sent, (input, init) => (sent++, fetch(input, init))]
}

async function failure(call: Promise<unknown>): Promise<AdminError> {
  const error: unknown = await call.then(() => undefined, (cause: unknown) => cause)
  expect(error).toBeInstanceOf(AdminError)
  return error as AdminError
}

test.concurrent.each([
  ["a lost connection", cut],
  ["half a response", half],
  ["503 with Retry-After", busy("1")],
  ["429 with Retry-After", json({ code: "RATE_LIMITED" }, 429, { "Retry-After": "1" })],
  ["502 of a proxy", (response: ServerResponse) => response.writeHead(502).end("<html>")],
  ["no response in time", never],
] as [string, Answer][])("%s is retried once, with the same Idempotency-Key", async (_, first) => {
  const { asked, admin } = await serveResponses(first, done)
  expect(await admin({ timeout: first === never ? 1000 : 10_000 }).sessions.endAll(user)).toEqual({ ended: 2 })
  expect(asked.map((one) => one.line)).toEqual(Array(2).fill(`DELETE /api/admin/users/${user}/sessions`))
  const keys = asked.map((one) => one.headers["idempotency-key"])
  expect(keys[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(keys[1]).toBe(keys[0])
  expect(asked.map((one) => one.headers.authorization)).toEqual(Array(2).fill(`Bearer ${key}`))
})

test.concurrent.each([
  ["two lost connections", cut, 2, { code: "NETWORK", status: 0 }],
  ["no response twice", never, 2, { code: "TIMEOUT", status: 0 }],
  ["503 without Retry-After", json({ code: "TRY_LATER" }, 503), 1, { code: "TRY_LATER", status: 503 }],
  ["a long Retry-After", busy("11"), 1, { code: "TRY_LATER", retryAfter: 11 }],
  ["a refusal", json({ code: "LAST_ADMIN", detail: "One must stay.", requestId: "r-1" }, 409), 1,
    { code: "LAST_ADMIN", status: 409, message: "One must stay.", requestId: "r-1" }],
  ["a page of a proxy", (response: ServerResponse) => response.writeHead(404).end("<html>"), 1, { code: "NOT_FOUND" }],
  ["a redirect", (response: ServerResponse) => response.writeHead(307, { Location: "/elsewhere" }).end(), 1,
    { code: "INTERNAL", status: 307 }],
] as [string, Answer, number, object][])("%s fails", async (_, answer, attempts, want) => {
  const { admin } = await serveResponses(answer)
  const [sent, fetch] = countingFetch()
  const client = admin({ timeout: answer === never ? 50 : 10_000, fetch })
  expect(await failure(client.users.delete(user))).toMatchObject(want)
  expect(sent()).toBe(attempts)
})

test.concurrent("rejected members and a step-up are in the error", async () => {
  const fields = [{ field: "email", code: "EMAIL_INVALID", message: "No address." }]
  const challenge = 'Bearer error="insufficient_user_authentication", acr_values="aal2 phr", max_age="300"'
  const { admin } = await serveResponses(
    json({ code: "VALIDATION_FAILED", detail: "Wrong.", errors: fields }, 422),
    json({ code: "STEP_UP_REQUIRED", detail: "Prove it." }, 401, { "WWW-Authenticate": challenge }),
  )
  expect(await failure(admin().users.invite({ email: "x" }))).toMatchObject({ code: "VALIDATION_FAILED", fields })
  expect(await failure(admin().users.invite({ email: "x" }))).toMatchObject({ acrValues: ["aal2", "phr"], maxAge: 300 })
})

test.concurrent("a program chooses its own Idempotency-Key, and reads have none", async () => {
  const { asked, admin } = await serveResponses(json({ items: [] }))
  const idempotencyKey = crypto.randomUUID()
  await admin().users.invite({ email: "ada@example.com" }, { idempotencyKey })
  await admin().users.page()
  expect(asked.map((one) => one.headers["idempotency-key"])).toEqual([idempotencyKey, undefined])
  expect(asked.map((one) => one.headers["content-type"])).toEqual(["application/json", undefined])
  expect(asked[0]?.body).toBe('{"email":"ada@example.com","invite":true}')
})

test.concurrent("a list follows the cursor, and stops when its reader does", async () => {
  const { asked, admin } = await serveResponses(
    json({ items: [1, 2], next: "a b" }),
    json({ items: [], next: "c" }),
    json({ items: [3] }),
  )
  const items: unknown[] = []
  for await (const item of admin().users.list({ email: "ä&b", limit: 2, role: undefined })) items.push(item)
  expect(items).toEqual([1, 2, 3])
  const query = "GET /api/admin/users?email=%C3%A4%26b&limit=2"
  expect(asked.map((one) => one.line)).toEqual([query, `${query}&after=a+b`, `${query}&after=c`])
  const other = await serveResponses(json({ items: [1, 2], next: "x" }))
  for await (const item of other.admin().users.list()) if (item) break
  expect(other.asked).toHaveLength(1)
})

test.concurrent("the signal of a call ends it, also between two attempts", async () => {
  const { asked, admin } = await serveResponses(busy("10"))
  const stop = new AbortController()
  const call = admin().users.delete(user, { signal: stop.signal })
  await expect.poll(() => asked.length, { interval: 5 }).toBe(1)
  stop.abort(new Error("no longer needed"))
  await expect(call).rejects.toThrow("no longer needed")
  const [sent, fetch] = countingFetch()
  const waiting = (await serveResponses(never)).admin({ fetch })
  await expect(waiting.users.get(user, { signal: AbortSignal.timeout(50) })).rejects.toThrow(/timeout/i)
  await expect(waiting.users.get(user, { signal: stop.signal })).rejects.toThrow("no longer needed")
  expect([asked.length, sent()]).toEqual([1, 1])
})

test.concurrent("a function returns the key for each attempt", async () => {
  const { asked, admin } = await serveResponses(cut, done)
  let token = 0
  await admin({ key: async () => `token-${++token}` }).sessions.endAll(user)
  expect(asked.map((one) => one.headers.authorization)).toEqual(["Bearer token-1", "Bearer token-2"])
  const failing = admin({ key: () => Promise.reject(new Error("signed out")) })
  await expect(failing.users.get(user)).rejects.toThrow("signed out")
  expect(asked).toHaveLength(2)
})

test.concurrent("an id can't change the path", async () => {
  const { asked, admin } = await serveResponses(done)
  for (const id of ["", ".", ".."]) {
    await expect(admin().users.get(id)).rejects.toThrow("an id is empty or a dot")
    await expect(admin().sessions.end(user, id)).rejects.toThrow("an id is empty or a dot")
  }
  await expect(admin().users.delete(undefined as unknown as string)).rejects.toThrow(TypeError)
  await admin().sessions.end("../x?y#z", "a/b")
  expect(asked.map((one) => one.line)).toEqual(["DELETE /api/admin/users/..%2Fx%3Fy%23z/sessions/a%2Fb"])
})

// The server and this package accept http for the same hosts (internal/weborigin).
const loopback = readFileSync(new URL("../../../internal/weborigin/testdata/loopback.json", import.meta.url), "utf8")

const hosts = Object.entries(JSON.parse(loopback) as Record<string, boolean>)

test.concurrent.each(hosts)("http is accepted for %s: %s", (url, accepted) => {
  const create = expect(() => createAdmin({ url, key }))
  if (accepted) create.not.toThrow()
  else create.toThrow()
})

test.concurrent.each(["https://id.example.com", "https://example.com/id/"])(
  "%s is accepted",
  (url) => expect(createAdmin({ url, key })).toBeInstanceOf(Object),
)

test.concurrent.each([
  "",
  "id.example.com",
  "ftp://id.example.com",
  "https://u:secret-of-url@id.example.com",
  "https://id.example.com?a=secret-of-url",
])("the URL %j is refused, and not repeated", (url) => {
  const error = thrown(() => createAdmin({ url, key }))
  expect(inspect(error, { depth: 9 })).not.toContain("secret-of-url")
})

function thrown(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error("nothing was thrown")
}

test.concurrent("no error and no printed client contains the key", async () => {
  const echo: Answer = (response, request) => {
    const { authorization } = request.headers
    const body = { code: "INTERNAL", detail: `You sent ${authorization}`, requestId: authorization }
    json(body, 500)(response, request)
  }
  const seen: unknown[] = []
  const answers = [echo, cut, half, never, busy("60"), json("text"), json({ code: "TOKEN_INVALID" }, 401)]
  await Promise.all(answers.map(async (answer) => {
    const { admin } = await serveResponses(answer)
    const client = admin({ timeout: answer === never ? 50 : 10_000 })
    seen.push(client, await client.users.invite({ email: "ada@example.com" }).catch((error: unknown) => error))
    seen.push(await client.users.page({ email: "ada@example.com" }).catch((error: unknown) => error))
  }))
  for (const broken of [`${key}\n`, `${key} `, `${key}ä`, ""]) {
    seen.push(thrown(() => createAdmin({ url: "https://id.example.com", key: broken })))
    const client = createAdmin({ url: "http://localhost:1", key: () => broken })
    seen.push(client, await client.users.get(user).catch((error: unknown) => error))
  }
  const text = seen
    .map((one) => inspect(one, { depth: 9, showHidden: true }) + JSON.stringify(one) + String(one))
    .join("\n")
  expect(text).toContain("You sent Bearer …")
  expect(text).not.toContain(key)
  expect(text).not.toContain("ada@example.com")
})
