import { parseMembers, parseSeconds, parseString, parseStrings } from "./json.js"

/** The type in the header of an event (RFC 8417, section 2.3). */
export const eventType = "secevent+jwt"

const kinds = {
  ended: "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
  changed: "https://schemas.openid.net/secevent/caep/event-type/token-claims-change",
  heartbeat: "https://schemas.openid.net/secevent/ssf/event-type/verification",
}

/**
 * An event of the revocation feed. `number` is its position. Newer servers can send kinds that this version does not
 * know. Their `kind` is "other", and only their number is used.
 */
export type FeedEvent =
  | { kind: "ended"; number: number; session: string }
  | { kind: "changed"; number: number; user: string; before: number }
  | { kind: "heartbeat"; head: number; issuedAt: number }
  | { kind: "other"; number: number }

/** Returns the event in a signed payload, or undefined if it has a different issuer or audience. */
export function readEvent(payload: string, issuer: string, audience: string): FeedEvent | undefined {
  const claims = parseMembers(payload)
  if (!claims) return undefined
  const audiences = [parseString(claims.get("aud")) ?? parseStrings(claims.get("aud")) ?? []].flat()
  const issuedAt = parseSeconds(claims.get("iat"))
  const isFromIssuer = parseString(claims.get("iss")) === issuer && audiences.includes(audience)
  // Events must not have a `sub` (SSF 1.0), and access tokens have one. This check therefore also rejects access
  // tokens.
  if (!isFromIssuer || !parseString(claims.get("jti")) || issuedAt === undefined || claims.has("sub")) return undefined
  const number = claims.has("number") ? parsePosition(claims.get("number") ?? "") : 0
  const events = parseMembers(claims.get("events") ?? "")
  if (number === undefined || events?.size !== 1) return undefined
  const [[kind, details]] = events as unknown as [[string, string]]
  return readKind(kind, number, issuedAt, { issuer, subject: claims.get("sub_id") ?? "", details })
}

interface Body {
  issuer: string
  subject: string
  details: string
}

function readKind(kind: string, number: number, issuedAt: number, body: Body): FeedEvent | undefined {
  const details = parseMembers(body.details)
  const at = parseSeconds(details?.get("event_timestamp"))
  switch (kind) {
    case kinds.ended: {
      const session = subjectMember(parseMembers(body.subject)?.get("session"), "opaque", "id")
      const isWhole = isFormat(body.subject, "complex") && number && at
      return isWhole && session ? { kind: "ended", number, session } : undefined
    }
    case kinds.changed: {
      const user = subjectMember(body.subject, "iss_sub", "sub")
      const isOwn = parseString(parseMembers(body.subject)?.get("iss")) === body.issuer
      return isOwn && user && number && at ? { kind: "changed", number, user, before: at } : undefined
    }
    case kinds.heartbeat: {
      const head = parsePosition(parseString(details?.get("state")) ?? "")
      return head === undefined || number ? undefined : { kind: "heartbeat", head, issuedAt }
    }
  }
  return { kind: "other", number }
}

/** Undefined unless the text is a number of at most 16 digits. */
function parsePosition(digits: string): number | undefined {
  return /^(0|[1-9][0-9]{0,15})$/.test(digits) ? Number(digits) : undefined
}

function isFormat(subject: string | undefined, format: string): boolean {
  return parseString(parseMembers(subject ?? "")?.get("format")) === format
}

/** RFC 9493; undefined for a different format. */
function subjectMember(subject: string | undefined, format: string, member: string): string | undefined {
  return isFormat(subject, format) ? parseString(parseMembers(subject ?? "")?.get(member)) : undefined
}
