import { authorizationHeaders, responseOf, withoutIdentityHeaders } from "./fetch.js"
import { authorize, guards, type Guards } from "./guard.js"
import type { Identity } from "./identity.js"
import type { Verifier } from "./verifier.js"

/** The variables that the middleware sets in a Hono context: `new Hono<{ Variables: Variables }>()`. */
export interface Variables {
  identity: Identity
}

/** The parts of a Hono context that the middleware uses. */
interface Context {
  req: { raw: Request }
  set(name: "identity", value: Identity): void
}

/** Middleware of Hono. */
export type Middleware = (context: Context, next: () => Promise<void>) => Promise<Response | undefined>

/**
 * Returns the middleware for Hono.
 *
 *     const auth = protect(verifier)
 *     app.get("/notes", auth.require(), (c) => c.json(notesOf(c.get("identity").subject)))
 */
export function protect(verifier: Verifier): Guards<Middleware> {
  return guards((rule) => async (context, next) => {
    const { identity, refusal } = await authorize(verifier, rule, authorizationHeaders(context.req.raw))
    if (refusal) return responseOf(refusal)
    context.req.raw = withoutIdentityHeaders(context.req.raw)
    if (identity) context.set("identity", identity)
    await next()
    return undefined
  })
}
