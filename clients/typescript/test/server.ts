// A small server that rotates refresh tokens as Watchword does, and simulates faults.
import { randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { onTestFinished } from "vitest"
import type { User } from "../src/index.js"

interface StoredSession {
  id: string
  user: User
  generation: number
  ended: boolean
  proven: boolean
}

/** A fault instead of a response. "cut" closes the connection before the rotation, "cutAfterwards" after it. */
export type Fault = { status: number; code: string; retryAfter?: number } | "cut" | "cutAfterwards" | undefined

export interface Asked {
  method: string
  path: string
  headers: IncomingMessage["headers"]
  body: string
}

/** A request whose body was read, and the ways to respond to it. */
interface Exchange extends Asked {
  json: Record<string, string>
  /** the refresh token */
  cookie: string | undefined
  accessToken: string
  respond: (status: number, answer: object, more?: Record<string, string>) => void
  refuse: (status: number, code: string, more?: Record<string, string>, errors?: object[]) => void
  fail: (fault: Exclude<Fault, undefined>) => void
}

const insufficient =
  'Bearer realm="id.example.com", error="insufficient_user_authentication", acr_values="aal2 phr", max_age="300"'

export class TestServer {
  url = ""
  expiresIn = 900
  refreshes = 0
  readonly asked: Asked[] = []
  onRefresh: (count: number) => Fault | Promise<Fault> = () => undefined
  onThing: (count: number) => Fault | Promise<Fault> = () => undefined
  /** Called before the server accepts a proof. */
  onStepUp: () => Fault | Promise<Fault> = () => undefined
  onLogout: () => Fault | Promise<Fault> = () => undefined
  readonly sessions = new Map<string, StoredSession>()
  private things = 0
  private readonly tokens = new Map<string, { session: string; expired: boolean; proven: boolean }>()

  static async start(): Promise<TestServer> {
    const server = new TestServer()
    const http = createServer((request, response) => {
      server.answer(request, response).catch((error: unknown) => response.destroy(error as Error))
    })
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
    server.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
    onTestFinished(() => {
      http.closeAllConnections()
      http.close()
    })
    return server
  }

  /** Rejects all access tokens issued so far. */
  expireTokens(): void {
    for (const token of this.tokens.values()) token.expired = true
  }

  endSessions(): void {
    for (const session of this.sessions.values()) session.ended = true
  }

  count(path: string): number {
    return this.asked.filter((one) => one.path === path).length
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = await readExchange(request, response)
    const { method, path, headers, body, respond } = exchange
    this.asked.push({ method, path, headers, body })
    switch (path) {
      case "/api/auth/register":
      case "/api/auth/login":
        return this.signIn(exchange)
      case "/api/auth/refresh":
        return this.refresh(exchange)
      case "/api/auth/logout":
        return this.logout(exchange)
      case "/api/auth/password/reset":
        return respond(200, { message: "Done.", deviceToken: "wwd_reset" })
      case "/api/auth/password/forgot":
        return respond(202, { message: "A mail is on its way." })
      default:
        return this.answerSignedIn(exchange)
    }
  }

  private signIn(exchange: Exchange): void {
    const { path, json, respond, refuse } = exchange
    if (json.password === "wrong") return refuse(401, "INVALID_CREDENTIALS")
    if (json.password === "short") {
      const error = { field: "password", code: "PASSWORD_TOO_SHORT", message: "At least 8." }
      return refuse(422, "VALIDATION_FAILED", {}, [error])
    }
    if (json.email === "verify@example.com") return respond(202, { message: "Check your inbox." })
    const email = json.email ?? ""
    const user = {
      id: `id of ${email}`,
      email,
      emailVerified: false,
      name: json.name ?? "",
      roles: [],
      locale: "",
      createdAt: "2026-11-26T12:00:00Z",
    }
    const session = { id: randomUUID(), user, generation: 0, ended: false, proven: false }
    this.sessions.set(session.id, session)
    const status = path.endsWith("login") ? 200 : 201
    return this.respondTokens(exchange, status, session, json.delivery === "body" ? "body" : "cookie")
  }

  private async refresh(exchange: Exchange): Promise<void> {
    const { json, cookie, refuse, fail } = exchange
    const fault = await this.onRefresh(++this.refreshes)
    if (fault && fault !== "cutAfterwards") return fail(fault)
    const presented = json.refreshToken ?? cookie
    if (!presented) return refuse(401, "REFRESH_MISSING")
    const [id = "", generation] = presented.split(".")
    const session = this.sessions.get(id)
    if (!session || session.ended) return refuse(401, "SESSION_ENDED")
    if (Number(generation) < session.generation - 1) {
      session.ended = true
      return refuse(401, "REFRESH_REUSED")
    }
    if (Number(generation) === session.generation) session.generation++
    if (fault) return fail(fault)
    return this.respondTokens(exchange, 200, session, json.refreshToken === undefined ? "cookie" : "body")
  }

  private async logout({ json, cookie, accessToken, respond, fail }: Exchange): Promise<void> {
    const fault = await this.onLogout()
    if (fault) return fail(fault)
    const presented = (json.refreshToken ?? cookie)?.split(".")[0]
    for (const id of [presented, this.tokens.get(accessToken)?.session]) {
      const session = this.sessions.get(id ?? "")
      if (session) session.ended = true
    }
    return respond(200, { message: "You are signed out." }, { "Set-Cookie": "watchword=" })
  }

  private async answerSignedIn(exchange: Exchange): Promise<void> {
    const { method, path, headers, body, json, accessToken, respond, refuse, fail } = exchange
    if (path === "/things") {
      const fault = await this.onThing(++this.things)
      if (fault) return fail(fault)
    }
    const access = this.tokens.get(accessToken)
    const session = this.sessions.get(access?.session ?? "")
    if (!access || !session) return refuse(401, headers.authorization ? "TOKEN_INVALID" : "TOKEN_MISSING")
    if (access.expired) return refuse(401, "TOKEN_EXPIRED")
    if (session.ended) return refuse(401, "SESSION_ENDED")
    switch (path) {
      case "/api/auth/me":
        if (method === "PATCH") session.user = { ...session.user, name: json.name ?? "" }
        return respond(200, { user: session.user })
      case "/api/auth/step-up":
        return this.stepUp(exchange, session)
      case "/sensitive":
        if (!access.proven) return refuse(401, "INSUFFICIENT_USER_AUTHENTICATION", { "WWW-Authenticate": insufficient })
        return respond(200, { method, body })
      case "/api/auth/factors":
        if (!access.proven) return refuse(401, "STEP_UP_REQUIRED", { "WWW-Authenticate": insufficient })
        return respond(200, { factors: [], recoveryCodes: { left: 0 }, required: false })
      case "/api/auth/logout-all":
        this.endSessions()
        return respond(200, { message: "All your sessions have ended.", ended: 1 })
      default:
        return respond(200, { method, body, sid: session.id, user: session.user.email })
    }
  }

  private async stepUp({ json, respond, refuse, fail }: Exchange, session: StoredSession): Promise<void> {
    const fault = await this.onStepUp()
    if (fault) return fail(fault)
    if (json.password) return refuse(401, "STEP_UP_REQUIRED", { "WWW-Authenticate": insufficient })
    if (json.totp !== "123456") return refuse(403, "FACTOR_WRONG")
    session.proven = true
    return respond(200, { accessToken: this.mint(session), tokenType: "Bearer", expiresIn: this.expiresIn })
  }

  private respondTokens(
    { path, respond }: Exchange,
    status: number,
    session: StoredSession,
    delivery: "body" | "cookie",
  ): void {
    const refreshToken = `${session.id}.${session.generation}`
    const accessToken = this.mint(session)
    const answer = { user: session.user, accessToken, tokenType: "Bearer", expiresIn: this.expiresIn }
    const device = path === "/api/auth/refresh" ? {} : { deviceToken: "wwd_login" }
    if (delivery === "body") respond(status, { ...answer, refreshToken, ...device })
    else respond(status, answer, { "Set-Cookie": `watchword=${refreshToken}` })
  }

  private mint(session: StoredSession): string {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url")
    const token = `${part({ alg: "none" })}.${part({ sid: session.id, jti: randomUUID(), name: "Ægir ✓?>" })}.x`
    this.tokens.set(token, { session: session.id, expired: false, proven: session.proven })
    return token
  }
}

async function readExchange(request: IncomingMessage, response: ServerResponse): Promise<Exchange> {
  let body = ""
  for await (const chunk of request) body += String(chunk)
  const { method = "", url = "", headers } = request
  const [path = ""] = url.split("?")
  const json = body.startsWith("{") ? (JSON.parse(body) as Record<string, string>) : {}
  const cookie = /watchword=([^;]+)/.exec(headers.cookie ?? "")?.[1]
  const accessToken = headers.authorization?.replace("Bearer ", "") ?? ""

  const respond: Exchange["respond"] = (status, answer, more = {}) => {
    const type = status < 400 ? "application/json" : "application/problem+json"
    response.writeHead(status, { "Content-Type": type, "X-Request-Id": "r-1", ...more })
    response.end(JSON.stringify(answer))
  }
  const refuse: Exchange["refuse"] = (status, code, more = {}, errors) =>
    respond(status, { status, code, detail: `It is ${code}.`, requestId: "r-1", ...(errors && { errors }) }, more)
  const fail: Exchange["fail"] = (fault) => {
    if (typeof fault === "string") {
      request.socket.destroy()
      return
    }
    const { status, code, retryAfter } = fault
    refuse(status, code, retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) })
  }
  return { method, path, headers, body, json, cookie, accessToken, respond, refuse, fail }
}
