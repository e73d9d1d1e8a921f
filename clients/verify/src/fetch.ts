import { authorize, guards, isIdentityHeader, type Guards, type Refusal, type Rule } from "./guard.js"
import type { Identity } from "./identity.js"
import type { Verifier } from "./verifier.js"

/** A handler with the identity as its second argument; further arguments of the framework follow. */
export type Handler<Rest extends unknown[]> = (
  request: Request,
  identity: Identity,
  ...rest: Rest
) => Response | Promise<Response>

/** Wraps a handler. */
export type Wrapper = <Rest extends unknown[]>(
  handler: Handler<Rest>,
) => (request: Request, ...rest: Rest) => Promise<Response>

/**
 * Returns wrappers for handlers of the Fetch API: route handlers of Next.js, SvelteKit, Bun, Deno.
 *
 *     const auth = protect(verifier)
 *     export const GET = auth.require((request, identity) => Response.json(notesOf(identity.subject)))
 *
 * With `optional`, the identity may be undefined.
 */
export function protect(verifier: Verifier): Guards<Wrapper> {
  type Wrapped<Rest extends unknown[]> = (request: Request, ...rest: Rest) => Promise<Response>
  const wrap =
    <Rest extends unknown[]>(rule: Rule, handler: Handler<Rest>): Wrapped<Rest> =>
    async (request, ...rest) => {
      const { identity, refusal } = await authorize(verifier, rule, authorizationHeaders(request))
      if (refusal) return responseOf(refusal)
      return handler(withoutIdentityHeaders(request), identity as Identity, ...rest)
    }
  return guards<Wrapper>((rule) => (handler) => wrap(rule, handler))
}

/** Two headers are joined by a comma, which is not valid in a token. */
export function authorizationHeaders(request: Request): string[] {
  const value = request.headers.get("authorization")
  return value === null ? [] : value.split(",")
}

export function responseOf({ status, headers, body }: Refusal): Response {
  return new Response(body, { status, headers })
}

/**
 * Returns the request without headers that a handler could mistake for the identity. If it has no such headers, the
 * same object is returned.
 */
export function withoutIdentityHeaders(request: Request): Request {
  const names = [...request.headers.keys()].filter(isIdentityHeader)
  if (names.length === 0) return request
  const headers = new Headers(request.headers)
  for (const name of names) headers.delete(name)
  return new Request(request, { headers })
}
