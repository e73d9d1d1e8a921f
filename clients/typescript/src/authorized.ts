// A request with the access token, in the order of its steps:
//
//  1. The token goes to no origin that is not on the list.
//  2. It is renewed first if it is about to expire.
//  3. A 401 that is about the token means that the server did nothing: renew, and send
//     the request once more, if its body is still there to be sent.
//  4. A network failure may mean anything: only requests that change nothing are sent
//     once more.
//  5. Nothing is sent a third time.

import { now } from "./clock.js"
import { refusal, WatchwordError } from "./error.js"
import type { Renewal } from "./renewal.js"
import type { Session, Token } from "./session.js"
import { send, type Wire } from "./transport.js"

/** A server that refuses each new token at once is not asked for one more often. */
const spacing = 5000

export type Finish<T> = (response: Response) => T | Promise<T>

export interface Authorized {
  /** Answers what finish makes of the answer. */
  <T>(wire: Wire, input: RequestInfo | URL, init: RequestInit, finish: Finish<T>): Promise<T>
}

export interface AuthorizedOptions {
  session: Session
  renewal: Renewal
  /** Where the token may go. */
  origins: ReadonlySet<string>
}

export function createAuthorized({ session, renewal, origins }: AuthorizedOptions): Authorized {
  let forced = -Infinity // when a token that was refused was last renewed
  let refused: Token | undefined // which one that was: many requests may have carried it

  return async function authorized<T>(wire: Wire, input: RequestInfo | URL, init: RequestInit, finish: Finish<T>): Promise<T> {
    const given = input instanceof Request ? input : undefined
    const { origin } = new URL(given?.url ?? String(input), globalThis.document?.baseURI ?? globalThis.location?.href)
    if (!origins.has(origin)) {
      throw new WatchwordError("CROSS_ORIGIN", `The access token is not for ${origin}. If it is, name it in origins.`)
    }
    const method = (init.method ?? given?.method ?? "GET").toUpperCase()
    const safe = method === "GET" || method === "HEAD" || method === "OPTIONS"
    const repeatable = isRepeatable(init.body)
    const { user } = session.snapshot

    const attempt = (token: Token, last: boolean): Promise<{ error: WatchwordError } | { done: T }> => {
      const headers = new Headers(init.headers ?? given?.headers)
      headers.set("Authorization", `Bearer ${token.value}`)
      const body = given && !last && repeatable ? given.clone() : (given ?? input)
      return send(wire, body, { ...init, headers }, async (response) => {
        const error = await refusalOfToken(response)
        return error ? { error } : { done: await finish(response) }
      })
    }

    let token = await renewal.fresh(user)
    let left = repeatable ? 1 : 0
    const who = session.snapshot.user
    let outcome: Awaited<ReturnType<typeof attempt>>
    try {
      outcome = await attempt(token, left === 0)
    } catch (error) {
      if (!safe || left === 0 || !(error instanceof WatchwordError) || error.code !== "NETWORK") throw error
      left = 0
      outcome = await attempt(token, true)
    }
    if ("done" in outcome) return outcome.done

    const { error } = outcome
    if (token === session.token && token !== refused && error.code !== "SESSION_ENDED") {
      if (now() - forced < spacing) throw error
      forced = now()
      refused = token
    }
    token = await renewal.fresh(who, token)
    if (left === 0) throw error
    outcome = await attempt(token, true)
    if ("done" in outcome) return outcome.done
    throw outcome.error
  }
}

/** A stream is gone once it was sent. */
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

/** The refusal if the answer is one of the token: by us, or by a service of RFC 6750. */
async function refusalOfToken(response: Response): Promise<WatchwordError | undefined> {
  if (response.status !== 401) return undefined
  const error = await refusal(response)
  const isOurs = error.code === "TOKEN_EXPIRED" || error.code === "TOKEN_INVALID" || error.code === "SESSION_ENDED"
  const named = /error="?invalid_token/.test(response.headers.get("WWW-Authenticate") ?? "")
  return named || isOurs ? error : undefined
}
