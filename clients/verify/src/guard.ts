// The decisions of the middleware, independent of the framework. Responses have the format and
// the codes of the server's error responses (RFC 9457, RFC 6750, RFC 9470).
import { TokenError, type TokenErrorCode } from "./error.js"
import type { Identity } from "./identity.js"
import type { Verifier } from "./verifier.js"

/** An error response of the middleware. */
export interface Refusal {
  status: number
  headers: Record<string, string>
  body: string
}

/**
 * The conditions for a request: one of the roles, one of the levels or a higher one, and an
 * authentication at most maxAge seconds ago.
 */
export interface Rule {
  roles?: readonly string[]
  acr?: readonly string[]
  maxAge?: number
  /** Also accepts requests without a token. They get no identity. An invalid token is still rejected. */
  optional?: boolean
}

const details: Record<TokenErrorCode, string> = {
  TOKEN_EXPIRED: "The access token has expired. Refresh it.",
  TOKEN_INVALID: "This is not a valid access token. Refresh it, or sign in.",
  SESSION_ENDED: "This session has ended. Sign in again.",
  TRY_LATER: "Access tokens can't be verified right now. Try again shortly; you are still signed in.",
}

/**
 * Checks a request by the values of its Authorization headers. The token is never read from the
 * query, the body or cookies. Returns the identity, a refusal, or undefined if the request has no
 * token and needs none.
 */
export async function authorize(
  verifier: Verifier,
  rule: Rule,
  authorization: readonly string[],
): Promise<{ identity?: Identity; refusal?: Refusal }> {
  if (authorization.length > 1) {
    const detail = "Send one Authorization header."
    return { refusal: refuse(verifier, 400, "AMBIGUOUS_CREDENTIALS", detail, 'error="invalid_request"') }
  }
  const token = /^Bearer(?: +(.*))?$/is.exec(authorization[0] ?? "")?.[1]?.trim()
  const isAbsent = token === undefined && !/^Bearer$/i.test(authorization[0]?.trim() ?? "")
  if (isAbsent && rule.optional) return {}
  if (isAbsent) {
    const detail = "Sign in, and send the access token as Authorization: Bearer."
    return { refusal: refuse(verifier, 401, "TOKEN_MISSING", detail) }
  }
  try {
    const identity = await verifier.verify(token ?? "")
    const refusal = refusalOf(verifier, rule, identity)
    return refusal ? { refusal } : { identity }
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    const { code } = error
    const status = code === "TRY_LATER" ? 503 : 401
    return { refusal: refuse(verifier, status, code, details[code], 'error="invalid_token"') }
  }
}

function refusalOf(verifier: Verifier, rule: Rule, identity: Identity): Refusal | undefined {
  if (rule.roles && !rule.roles.some((role) => identity.hasRole(role))) {
    const detail = "You don't have the role that this needs."
    return refuse(verifier, 403, "INSUFFICIENT_SCOPE", detail, 'error="insufficient_scope"')
  }
  const parameters: string[] = []
  if (rule.acr && !reachesLevel(identity.acr, rule.acr)) {
    parameters.push(`acr_values="${dropUnquotable(rule.acr.join(" "))}"`)
  }
  if (verifier.age(identity.authTime) > (rule.maxAge ?? Infinity)) parameters.push(`max_age="${rule.maxAge}"`)
  if (parameters.length === 0) return undefined
  const challenge = ['error="insufficient_user_authentication"', ...parameters].join(", ")
  return refuse(
    verifier,
    401,
    "INSUFFICIENT_USER_AUTHENTICATION",
    "Confirm that it is you, and try again.",
    challenge,
  )
}

/** The levels in ascending order: one proof, two proofs, and a passkey that verified the user. */
const levelsAscending = ["aal1", "aal2", "phr"]

/** Also accepts a higher level than one of the accepted ones. */
function reachesLevel(acr: string, accepted: readonly string[]): boolean {
  const level = levelsAscending.indexOf(acr)
  return accepted.some((one) => one === acr || (levelsAscending.includes(one) && level > levelsAscending.indexOf(one)))
}

const titles: Record<number, string> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  503: "Service Unavailable",
}

function refuse(verifier: Verifier, status: number, code: string, detail: string, challenge?: string): Refusal {
  const bearer = [`Bearer realm="${verifier.realm}"`, ...(challenge ? [challenge] : [])].join(", ")
  return {
    status,
    headers: {
      ...(status === 503 ? { "Retry-After": "1" } : { "WWW-Authenticate": bearer }),
      "Cache-Control": "no-store",
      "Content-Type": "application/problem+json; charset=utf-8",
      "X-Content-Type-Options": "nosniff",
    },
    body: JSON.stringify({ type: "about:blank", title: titles[status], status, detail, code, error: detail }),
  }
}

/** Removes the characters that a quoted parameter of a header can't contain. */
function dropUnquotable(value: string): string {
  return value.replace(/[^ -~]|["\\]/g, "")
}

/**
 * Reports whether gateways and frameworks use this request header for the user's identity. The middleware removes
 * such headers, because only the token proves the identity. In the name, `_` counts as `-`.
 */
export function isIdentityHeader(name: string): boolean {
  return identityHeaders.test(name.toLowerCase().replaceAll("_", "-"))
}

const identityHeaders = new RegExp(
  "^(x-(user(|-.*|name|id)|roles?|groups|email|subject|session-id|authenticated-.*|remote-.*|webauth-.*|watchword-.*" +
    "|auth-(user.*|request-.*|subject|roles|session|email)" +
    "|forwarded-(user.*|email|preferred-username|groups|roles))|remote-.*)$",
)

/** The checks for every framework. T is the framework's type of middleware. */
export interface Guards<T> {
  /** Requires a valid token. Otherwise it responds 401. */
  require(): T
  /** Requires one of these roles. Otherwise it responds 403. */
  requireRole(...roles: string[]): T
  /**
   * Requires one of these levels or a higher one ("aal1" < "aal2" < "phr"), or sends a step-up challenge
   * (RFC 9470).
   */
  requireAcr(...values: string[]): T
  /** Requires an authentication at most this many seconds ago, or sends a step-up challenge. */
  requireRecent(seconds: number): T
  /** Accepts requests without a token as anonymous. An invalid token is still rejected. */
  optional(): T
  /** Requires several conditions at once. */
  rule(rule: Rule): T
}

export function guards<T>(create: (rule: Rule) => T): Guards<T> {
  return {
    require: () => create({}),
    requireRole: (...roles) => create({ roles }),
    requireAcr: (...acr) => create({ acr }),
    requireRecent: (maxAge) => create({ maxAge }),
    optional: () => create({ optional: true }),
    rule: create,
  }
}
