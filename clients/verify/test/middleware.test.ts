import { createServer, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { connect } from "node:net"
import express from "express"
import fastify from "fastify"
import { Hono } from "hono"
import { expect, onTestFinished, test } from "vitest"
import * as forExpress from "../src/express.js"
import * as forFastify from "../src/fastify.js"
import * as forFetch from "../src/fetch.js"
import * as forHono from "../src/hono.js"
import type { Verifier } from "../src/index.js"
import { FakeIssuer, newKey, nowSeconds } from "./issuer.js"

const issuer = new FakeIssuer(await newKey())

type Send = (path: string, init?: RequestInit) => Promise<Response>

async function listen(listener: RequestListener): Promise<Send> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => void server.close())
  return (path, init) => fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, init)
}

async function withExpress(verifier: Verifier): Promise<Send> {
  const auth = forExpress.protect(verifier)
  const app = express()
  const echo: express.RequestHandler = (request, response) => {
    const { identity } = request as forExpress.WithIdentity
    response.json({ sub: identity?.subject ?? null, header: request.headers["x-user"] ?? null })
  }
  app.get("/me", auth.require(), echo)
  app.get("/admin", auth.requireRole("admin", "editor"), echo)
  app.get("/owner", auth.requireRole("owner"), echo)
  app.get("/strong", auth.requireAcr("aal2", "phr"), echo)
  app.get("/recent", auth.requireRecent(300), echo)
  app.get("/open", auth.optional(), echo)
  return listen(app)
}

async function withFastify(verifier: Verifier): Promise<Send> {
  const auth = forFastify.protect(verifier)
  const app = fastify()
  const routes = {
    "/me": auth.require(),
    "/admin": auth.requireRole("admin", "editor"),
    "/owner": auth.requireRole("owner"),
  }
  const others = {
    "/strong": auth.requireAcr("aal2", "phr"),
    "/recent": auth.requireRecent(300),
    "/open": auth.optional(),
  }
  for (const [path, onRequest] of Object.entries({ ...routes, ...others })) {
    app.get(path, { onRequest }, async (request) => ({
      sub: (request as { identity?: { subject: string } }).identity?.subject ?? null,
      header: request.headers["x-user"] ?? null,
    }))
  }
  await app.listen({ port: 0, host: "127.0.0.1" })
  onTestFinished(() => app.close())
  return (path, init) => fetch(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}${path}`, init)
}

function withHono(verifier: Verifier): Send {
  const auth = forHono.protect(verifier)
  const app = new Hono<{ Variables: Partial<forHono.Variables> }>()
  const routes = {
    "/me": auth.require(),
    "/admin": auth.requireRole("admin", "editor"),
    "/owner": auth.requireRole("owner"),
  }
  const others = {
    "/strong": auth.requireAcr("aal2", "phr"),
    "/recent": auth.requireRecent(300),
    "/open": auth.optional(),
  }
  for (const [path, guard] of Object.entries({ ...routes, ...others })) {
    app.get(path, guard as never, (c) =>
      c.json({ sub: c.get("identity")?.subject ?? null, header: c.req.header("x-user") ?? null }),
    )
  }
  return async (path, init) => app.request(path, init)
}

function withFetch(verifier: Verifier): Send {
  const auth = forFetch.protect(verifier)
  const echo: forFetch.Handler<[]> = (request, identity) =>
    Response.json({
      sub: (identity as typeof identity | undefined)?.subject ?? null,
      header: request.headers.get("x-user"),
    })
  const routes: Record<string, (request: Request) => Promise<Response>> = {
    "/me": auth.require()(echo),
    "/admin": auth.requireRole("admin", "editor")(echo),
    "/owner": auth.requireRole("owner")(echo),
    "/strong": auth.requireAcr("aal2", "phr")(echo),
    "/recent": auth.requireRecent(300)(echo),
    "/open": auth.optional()(echo),
  }
  return (path, init) =>
    routes[path]?.(new Request(`https://api.example.com${path}`, init)) ?? Promise.reject(new Error(path))
}

const frameworks: [string, (verifier: Verifier) => Send | Promise<Send>][] = [
  ["Express", withExpress],
  ["Fastify", withFastify],
  ["Hono", withHono],
  ["Fetch", withFetch],
]

test.each(frameworks)("the middleware of %s decides about every kind of request", async (_, start) => {
  const send = await start(issuer.verifier())
  const ask = async (path: string, authorization?: string): Promise<[number, unknown]> => {
    const headers = { "X-User": "eve", X_User: "eve", ...(authorization && { Authorization: authorization }) }
    const response = await send(path, { headers })
    const body = (await response.json()) as { code?: string; sub?: string; header?: unknown }
    if (response.status !== 200) {
      expect(response.headers.get("content-type")).toBe("application/problem+json; charset=utf-8")
      expect(response.headers.get("cache-control")).toBe("no-store")
      if (response.status !== 503)
        expect(response.headers.get("www-authenticate")).toContain('Bearer realm="id.example.com"')
    } else {
      expect(body.header).toBe(null)
    }
    return [response.status, body.code ?? body.sub]
  }
  const token = `Bearer ${await issuer.token()}`
  const old = `bearer  ${await issuer.token({ auth_time: nowSeconds() - 400 })}`
  const past = { iat: nowSeconds() - 1000, nbf: nowSeconds() - 1000, exp: nowSeconds() - 100 }
  const expired = `Bearer ${await issuer.token(past)}`
  expect(await ask("/me", token)).toEqual([200, "ada"])
  expect(await ask("/me", old)).toEqual([200, "ada"])
  expect(await ask("/me")).toEqual([401, "TOKEN_MISSING"])
  expect(await ask("/me", "Basic YTpi")).toEqual([401, "TOKEN_MISSING"])
  expect(await ask("/me", "Bearer")).toEqual([401, "TOKEN_INVALID"])
  expect(await ask("/me", "Bearer nonsense")).toEqual([401, "TOKEN_INVALID"])
  expect(await ask("/me", expired)).toEqual([401, "TOKEN_EXPIRED"])
  expect(await ask("/admin", token)).toEqual([200, "ada"])
  expect(await ask("/owner", token)).toEqual([403, "INSUFFICIENT_SCOPE"])
  expect(await ask("/strong", token)).toEqual([401, "INSUFFICIENT_USER_AUTHENTICATION"])
  expect(await ask("/recent", token)).toEqual([200, "ada"])
  expect(await ask("/recent", old)).toEqual([401, "INSUFFICIENT_USER_AUTHENTICATION"])
  expect(await ask("/open")).toEqual([200, null])
  expect(await ask("/open", token)).toEqual([200, "ada"])
  expect(await ask("/open", "Bearer nonsense")).toEqual([401, "TOKEN_INVALID"])
})

test("a step-up challenge names the levels and the age", async () => {
  const send = await withFetch(issuer.verifier())
  const authorization = { Authorization: `Bearer ${await issuer.token({ auth_time: nowSeconds() - 400 })}` }
  const strong = await send("/strong", { headers: authorization })
  expect(strong.headers.get("www-authenticate")).toContain(
    'error="insufficient_user_authentication", acr_values="aal2 phr"',
  )
  const recent = await send("/recent", { headers: authorization })
  expect(recent.headers.get("www-authenticate")).toContain('max_age="300"')
})

test.each<[string, string[], number]>([
  ["aal1", ["aal1"], 200],
  ["aal1", ["aal2"], 401],
  ["aal2", ["aal1"], 200],
  ["aal2", ["aal2"], 200],
  ["aal2", ["phr"], 401],
  ["phr", ["aal2"], 200],
  ["phr", ["phr"], 200],
  ["phr", [], 401],
  ["phr", ["gold"], 401],
  ["gold", ["aal1"], 401],
  ["gold", ["gold"], 200],
])("a token with acr %s for %j gets %i", async (acr, required, status) => {
  const guarded = forFetch.protect(issuer.verifier()).requireAcr(...required)(() => new Response())
  const headers = { Authorization: `Bearer ${await issuer.token({ acr })}` }
  expect((await guarded(new Request("https://api.example.com/", { headers }))).status).toBe(status)
})

test("level and age are in one challenge", async () => {
  const guarded = forFetch.protect(issuer.verifier()).rule({ acr: ["aal2"], maxAge: 300 })(() => new Response())
  const headers = { Authorization: `Bearer ${await issuer.token({ auth_time: nowSeconds() - 400 })}` }
  const response = await guarded(new Request("https://api.example.com/", { headers }))
  expect(response.headers.get("www-authenticate")).toBe(
    'Bearer realm="id.example.com", error="insufficient_user_authentication", acr_values="aal2", max_age="300"',
  )
})

test("an unavailable issuer is 503, so that clients keep their session", async () => {
  const down = new FakeIssuer(issuer.key)
  down.isDown = true
  const response = await withFetch(down.verifier())("/me", {
    headers: { Authorization: `Bearer ${await down.token()}` },
  })
  expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"])
  expect(response.headers.get("www-authenticate")).toBe(null)
})

test.each([
  ["Express", withExpress],
  ["Fastify", withFastify],
] as const)("%s rejects two Authorization headers", async (_, start) => {
  const send = await start(issuer.verifier())
  const { url } = await send("/open") // this request only finds out the server's address
  const port = Number(new URL(url).port)
  const token = await issuer.token()
  const status = await new Promise<string>((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      const header = `Authorization: Bearer ${token}\r\n`
      socket.write(`GET /me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${header}${header}\r\n`)
    })
    let text = ""
    socket.on("data", (data) => (text += String(data)))
    socket.on("end", () => resolve(text))
    socket.on("error", reject)
  })
  expect(status).toMatch(/^HTTP\/1.1 400 [\s\S]*AMBIGUOUS_CREDENTIALS/)
})

test("a handler without the middleware can't read an identity", () => {
  expect(() => forExpress.identityOf({})).toThrow("no middleware")
})
