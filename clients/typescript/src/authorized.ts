// The steps of a request with the access token:
//
//  1. The token is sent to listed origins only.
//  2. A stale token is renewed before the request.
//  3. A 401 about the token shows that the server has not processed the request. The token is renewed, and the
//     request is repeated if its body can be sent again.
//  4. After a network failure only GET, HEAD and OPTIONS are repeated, because the server may have processed the
//     request.
//  5. A 401 that requires a step-up (RFC 9470) calls the handler, if there is one. After a proof, the request is sent
//     once more.
//  6. A request is sent at most twice, and once more after a step-up.

import { now } from "./clock.js"
import { readErrorResponse, WatchwordError } from "./error.js"
import type { Renewal } from "./renewal.js"
import type { Session } from "./session.js"
import { stepUpChallenge, type StepUpChallenge, type StepUps } from "./stepup.js"
import type { Token } from "./token.js"
import { send, callerSignalOf, type Handler, type Transport } from "./transport.js"

/** Milliseconds. The limit prevents a loop if the server rejects each new token. */
const minForcedInterval = 5000

/** Sends a request with the access token, and returns the handler's result. `canStepUp` is true by default. */
export interface SendAuthorized {
  <T>(
    transport: Transport,
    input: RequestInfo | URL,
    init: RequestInit,
    handle: Handler<T>,
    canStepUp?: boolean,
  ): Promise<T>
}

export interface AuthorizedOptions {
  session: Session
  renewal: Renewal
  stepUps: StepUps
  /** The origins that may receive the token. */
  origins: ReadonlySet<string>
}

export function createAuthorized({ session, renewal, stepUps, origins }: AuthorizedOptions): SendAuthorized {
  let lastForcedAt = -Infinity // when a 401 last forced a renewal
  let replacedToken: Token | undefined // the token before the last forced renewal; several requests may have sent it

  /** Throws the error if the last forced renewal was less than minForcedInterval ago. */
  function limitForcedRenewals(token: Token, error: WatchwordError): void {
    if (token !== session.token || token === replacedToken || error.code === "SESSION_ENDED") return
    if (now() - lastForcedAt < minForcedInterval) throw error
    lastForcedAt = now()
    replacedToken = token
  }

  return async function sendAuthorized(transport, input, init, handle, canStepUp = true) {
    checkOrigin(origins, input)
    const isRepeatable = hasRepeatableBody(init.body)
    let token = await renewal.validToken(session.snapshot.user)
    let proofs = stepUps.count
    const { user } = session.snapshot
    const sendOnce = (isLast = false) =>
      sendAttempt(transport, { input, init, canRepeat: isRepeatable && !isLast }, token, handle)

    let mayRepeat = isRepeatable
    let outcome
    try {
      outcome = await sendOnce()
    } catch (error) {
      if (!mayRepeat || !isSafe(input, init) || !isNetworkError(error)) throw error
      mayRepeat = false
      outcome = await sendOnce()
    }
    if (outcome.refused) {
      limitForcedRenewals(token, outcome.refused)
      token = await renewal.validToken(user, token)
      if (!mayRepeat) throw outcome.refused
      proofs = stepUps.count
      outcome = await sendOnce()
    }
    const asks = canStepUp && outcome.stepUp
    if (asks && (await stepUps.ask(asks, proofs, callerSignalOf(input, init))) && isRepeatable) {
      token = await renewal.validToken(user)
      outcome = await sendOnce(true)
    }
    if (outcome.refused) throw outcome.refused
    return outcome.finish()
  }
}

interface AuthorizedRequest {
  input: RequestInfo | URL
  init: RequestInit
  /** Whether the request may be sent again. If so, the body of a Request is cloned. */
  canRepeat: boolean
}

/**
 * If the server rejected the token, `refused` has the error. Otherwise `finish` returns the handler's result.
 * `stepUp` is set if the response is a 401 that requires a step-up. The body of this 401 is already read, so `finish`
 * can be called after the step-up, too.
 */
type Outcome<T> =
  | { refused: WatchwordError; stepUp?: undefined }
  | { refused?: undefined; stepUp?: StepUpChallenge; finish: () => Promise<T> | T }

function sendAttempt<T>(
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
    const error = response.status === 401 ? await readErrorResponse(response) : undefined
    const header = response.headers.get("WWW-Authenticate") ?? ""
    const stepUp = error && stepUpChallenge(error, header)
    if (stepUp) return { stepUp, finish: () => handle(response) }
    if (error && isAboutToken(error, header)) return { refused: error }
    const result = await handle(response)
    return { finish: () => result }
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
function hasRepeatableBody(body: BodyInit | null | undefined): boolean {
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

/** Reports whether a 401 is about the token, by Watchword's codes or by RFC 6750. */
function isAboutToken({ code }: WatchwordError, header: string): boolean {
  return ["TOKEN_EXPIRED", "TOKEN_INVALID", "SESSION_ENDED"].includes(code) || /error="?invalid_token/.test(header)
}
