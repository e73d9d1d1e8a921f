import type { IncomingMessage } from "node:http"
import { authorizationHeaders, identityOf, stripHeaders, type WithIdentity } from "./express.js"
import { authorize, guards, type Guards } from "./guard.js"
import type { Verifier } from "./verifier.js"

export { identityOf }

/** The parts of a Fastify request and reply that the hook uses. */
interface Request {
  raw: IncomingMessage
}
interface Reply {
  code(status: number): this
  headers(values: Record<string, string>): this
  send(body: string): unknown
}

/** An `onRequest` or `preHandler` hook. */
export type Hook = (request: Request, reply: Reply) => Promise<unknown>

/**
 * Returns the hooks for Fastify.
 *
 *     const auth = protect(verifier)
 *     app.get("/notes", { onRequest: auth.require() }, async (request) => notesOf(identityOf(request).subject))
 */
export function protect(verifier: Verifier): Guards<Hook> {
  return guards((rule) => async (request, reply) => {
    const { identity, refusal } = await authorize(verifier, rule, authorizationHeaders(request.raw))
    if (refusal) return reply.code(refusal.status).headers(refusal.headers).send(refusal.body)
    stripHeaders(request.raw)
    if (identity) (request as WithIdentity<Request>).identity = identity
    return undefined
  })
}
