// A request with the access token, in the order of its steps:
//
//  1. The token is sent to listed origins only.
//  2. A stale token is renewed first.
//  3. A 401 about the token means that the server did not act. The token is renewed and the
//     request repeated, if its body can be sent again.
//  4. After a network failure only GET, HEAD and OPTIONS are repeated, because the server
//     may have processed the request.
//  5. A request is sent at most twice.

import { now } from "./clock.js"
import { refusal, WatchwordError } from "./error.js"
import type { Renewal } from "./renewal.js"
import type { Session } from "./session.js"
import type { Token } from "./token.js"
import { send, type Handler, type Transport } from "./transport.js"

/** Milliseconds between renewals forced by a 401, in case the server rejects each new token. */
const forcedInterval = 5000

/** Sends a request with the access token, and returns the handler's result. */
export interface SendAuthorized {
  <T>(transport: Transport, input: RequestInfo | URL, init: RequestInit, handle: Handler<T>): Promise<T>
}

export interface AuthorizedOptions {
  session: Session
  renewal: Renewal
  /** The origins that may receive the token. */
  origins: ReadonlySet<string>
}

export function createAuthorized({ session, renewal, origins }: AuthorizedOptions): SendAuthorized {
  let forcedAt = -Infinity // the last renewal forced by a 401
  let forcedFor: Token | undefined // its token: several requests may have carried it

  /** Throws the error if the current token is refused within forcedInterval of the last one. */
  function limitForced(token: Token, error: WatchwordError): void {
    if (token !== session.token || token === forcedFor || error.code === "SESSION_ENDED") return
    if (now() - forcedAt < forcedInterval) throw error
    forcedAt = now()
    forcedFor = token
  }

  return async function sendAuthorized(transport, input, init, handle) {
    checkOrigin(origins, input)
    const request = { input, init, canRepeat: isRepeatable(init.body) }
    let token = await renewal.validToken(session.snapshot.user)
    const { user } = session.snapshot
    let canRepeat = request.canRepeat
    let outcome
    try {
      outcome = await attempt(transport, request, token, handle)
    } catch (error) {
      if (!canRepeat || !isSafe(input, init) || !isNetworkError(error)) throw error
      canRepeat = false
      outcome = await attempt(transport, { ...request, canRepeat }, token, handle)
    }
    if (!outcome.refused) return outcome.result
    limitForced(token, outcome.refused)
    token = await renewal.validToken(user, token)
    if (!canRepeat) throw outcome.refused
    outcome = await attempt(transport, { ...request, canRepeat: false }, token, handle)
    if (outcome.refused) throw outcome.refused
    return outcome.result
  }
}

interface AuthorizedRequest {
  input: RequestInfo | URL
  init: RequestInit
  /** Whether the request may be sent a second time. If so, the body of a Request is cloned. */
  canRepeat: boolean
}

type Outcome<T> = { refused: WatchwordError } | { refused: undefined; result: T }

/** Sends the request once. `refused` is the error if the server rejected the token. */
function attempt<T>(
  transport: Transport,
  request: AuthorizedRequest,
  token: Token,
  handle: Handler<T>,
): Promise<Outcome<T>> {
  const { input, init, canRepeat } = request
  const original = input instanceof Request ? input : undefined
  const headers = new Headers(init.headers ?? original?.headers)
  headers.set("Authorization", `Bearer ${token.value}`)
  const target = original && canRepeat ? original.clone() : input
  return send<Outcome<T>>(transport, target, { ...init, headers }, async (response) => {
    const refused = await tokenRefusal(response)
    return refused ? { refused } : { refused, result: await handle(response) }
  })
}

function checkOrigin(origins: ReadonlySet<string>, input: RequestInfo | URL): void {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href
  const { origin } = new URL(input instanceof Request ? input.url : String(input), base)
  if (origins.has(origin)) return
  const message = `The access token is not sent to ${origin}. To allow it, add the origin to the option origins.`
  throw new WatchwordError("CROSS_ORIGIN", message)
}

function isSafe(input: RequestInfo | URL, init: RequestInit): boolean {
  const method = init.method ?? (input instanceof Request ? input.method : "GET")
  return ["GET", "HEAD", "OPTIONS"].includes(method.toUpperCase())
}

function isNetworkError(error: unknown): boolean {
  return error instanceof WatchwordError && error.code === "NETWORK"
}

/** A stream can be sent only once. */
function isRepeatable(body: BodyInit | null | undefined): boolean {
  return (
    body == null ||
    typeof body === "string" ||
    body instanceof Blob ||
    body instanceof FormData ||
    body instanceof URLSearchParams ||
    body instanceof ArrayBuffer ||
    ArrayBuffer.isView(body)
  )
}

/** Returns the refusal if a 401 is about the token, by Watchword's codes or by RFC 6750. */
async function tokenRefusal(response: Response): Promise<WatchwordError | undefined> {
  if (response.status !== 401) return undefined
  const error = await refusal(response)
  const hasCode = ["TOKEN_EXPIRED", "TOKEN_INVALID", "SESSION_ENDED"].includes(error.code)
  const hasChallenge = /error="?invalid_token/.test(response.headers.get("WWW-Authenticate") ?? "")
  return hasCode || hasChallenge ? error : undefined
}
