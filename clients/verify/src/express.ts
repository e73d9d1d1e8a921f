import type { IncomingMessage, ServerResponse } from "node:http"
import { authorize, guards, isIdentityHeader, type Guards, type Refusal } from "./guard.js"
import type { Identity } from "./identity.js"
import type { Verifier } from "./verifier.js"

/** A request that the middleware has accepted. `identity` is missing only with `optional`. */
export type WithIdentity<T = IncomingMessage> = T & { identity?: Identity }

/** Middleware of Express, Connect and plain `node:http`. */
export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void

/**
 * Returns the middleware for Express.
 *
 *     const auth = protect(verifier)
 *     app.get("/notes", auth.require(), (req, res) => res.json(notesOf(identityOf(req).subject)))
 */
export function protect(verifier: Verifier): Guards<Middleware> {
  return guards((rule) => (request, response, next) => {
    authorize(verifier, rule, authorizationHeaders(request)).then(({ identity, refusal }) => {
      if (refusal) return respond(response, refusal)
      stripHeaders(request)
      if (identity) (request as WithIdentity).identity = identity
      next()
    }, next)
  })
}

/** Returns the identity of a request that `require` has accepted. It throws if the request has no identity. */
export function identityOf(request: object): Identity {
  const { identity } = request as WithIdentity
  if (!identity) throw new Error("no middleware of @watchword/verify ran for this request, or it is anonymous")
  return identity
}

/** The property `headers` of Node.js has only the first header of a name. */
export function authorizationHeaders(request: IncomingMessage): readonly string[] {
  return request.headersDistinct.authorization ?? []
}

export function stripHeaders(request: IncomingMessage): void {
  for (const name of Object.keys(request.headers)) if (isIdentityHeader(name)) delete request.headers[name]
}

function respond(response: ServerResponse, { status, headers, body }: Refusal): void {
  response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(body) }).end(body)
}
