import { parseMembers, parseSeconds, parseString, parseStrings } from "./json.js"

const maxLifetime = 60 * 60 // seconds; the server allows no longer lifetime

/** The user and session that a verified token names. It is immutable: requests with one token share it. */
export class Identity {
  /** The id of the user (`sub`). */
  readonly subject: string
  /** The id of the session (`sid`): one sign-in on one device. */
  readonly sessionId: string
  /** The id of the token (`jti`), for logs. */
  readonly tokenId: string
  /** The user's roles when the token was issued. */
  readonly roles: readonly string[]
  /** When the user last authenticated (`auth_time`). Like all times: Unix seconds. */
  readonly authTime: number
  /** The authentication context class (`acr`), such as "aal1". */
  readonly acr: string
  /** The authentication methods (RFC 8176). */
  readonly amr: readonly string[]
  readonly issuedAt: number
  readonly expiresAt: number
  /** All claims of the token, such as `email`. */
  readonly claims: Readonly<Record<string, unknown>>

  /** For tests of your handlers. Otherwise identities come from `Verifier.verify`. */
  constructor(claims: Record<string, unknown>) {
    const strings = (value: unknown): readonly string[] => Object.freeze([...((value as string[] | undefined) ?? [])])
    this.subject = claims.sub as string
    this.sessionId = claims.sid as string
    this.tokenId = claims.jti as string
    this.roles = strings(claims.roles)
    this.authTime = claims.auth_time as number
    this.acr = claims.acr as string
    this.amr = strings(claims.amr)
    this.issuedAt = claims.iat as number
    this.expiresAt = claims.exp as number
    this.claims = Object.freeze({ ...claims })
    Object.freeze(this)
  }

  hasRole(role: string): boolean {
    return this.roles.includes(role)
  }
}

/** The values that a token must contain. */
export interface Expected {
  issuer: string
  audience: string
  /** Seconds that the issuer's clock may be ahead. It does not extend a token's life. */
  leeway: number
}

/** Reports whether the times of a token allow its use at `now` (Unix seconds). */
export function isTimely(claims: Readonly<Record<string, unknown>>, now: number, leeway: number): boolean {
  const latest = now + leeway
  return (claims.iat as number) <= latest && ((claims.nbf as number | undefined) ?? 0) <= latest
}

/** Returns the identity in a signed payload, or undefined if a claim is missing or wrong. */
export function readIdentity(payload: string, expected: Expected, now: number): Identity | undefined {
  const raw = parseMembers(payload)
  if (!raw || !hasTypes(raw)) return undefined
  const claims = JSON.parse(payload) as Record<string, unknown>
  const audience = [claims.aud].flat()
  const life = (claims.exp as number) - (claims.iat as number)
  const fits = claims.iss === expected.issuer && audience.includes(expected.audience) && life > 0 && life <= maxLifetime
  return fits && isTimely(claims, now, expected.leeway) ? new Identity(claims) : undefined
}

/** Reports whether all claims have the right types. Only `nbf` is optional (RFC 9068, section 2.2). */
function hasTypes(raw: Map<string, string>): boolean {
  const filled = (name: string): boolean => !!parseString(raw.get(name))
  const dated = (name: string): boolean => parseSeconds(raw.get(name)) !== undefined
  return (
    ["iss", "sub", "sid", "jti"].every(filled) &&
    ["iat", "exp", "auth_time"].every(dated) &&
    (!raw.has("nbf") || dated("nbf")) &&
    (parseString(raw.get("aud")) ?? parseStrings(raw.get("aud"))) !== undefined &&
    parseStrings(raw.get("roles")) !== undefined &&
    parseStrings(raw.get("amr")) !== undefined &&
    parseString(raw.get("acr")) !== undefined
  )
}
