import { members, seconds, text, texts } from "./json.js"

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
  const claims = members(payload)
  if (!claims) return undefined
  const audiences = [text(claims.get("aud")) ?? texts(claims.get("aud")) ?? []].flat()
  const issuedAt = seconds(claims.get("iat"))
  const named = text(claims.get("iss")) === issuer && audiences.includes(audience) && !!text(claims.get("jti"))
  // Events must not have a `sub` (SSF 1.0), and access tokens have one. This check therefore also rejects access
  // tokens.
  if (!named || issuedAt === undefined || claims.has("sub")) return undefined
  const number = claims.has("number") ? position(claims.get("number") ?? "") : 0
  const events = members(claims.get("events") ?? "")
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
  const details = members(body.details)
  const at = seconds(details?.get("event_timestamp"))
  switch (kind) {
    case kinds.ended: {
      const session = idOf(members(body.subject)?.get("session"), "opaque", "id")
      const isWhole = isFormat(body.subject, "complex") && number && at
      return isWhole && session ? { kind: "ended", number, session } : undefined
    }
    case kinds.changed: {
      const user = idOf(body.subject, "iss_sub", "sub")
      const isOwn = text(members(body.subject)?.get("iss")) === body.issuer
      return isOwn && user && number && at ? { kind: "changed", number, user, before: at } : undefined
    }
    case kinds.heartbeat: {
      const head = position(text(details?.get("state")) ?? "")
      return head === undefined || number ? undefined : { kind: "heartbeat", head, issuedAt }
    }
  }
  return { kind: "other", number }
}

/** Returns the position in the feed, or undefined if the text is not a number of at most 16 digits. */
function position(digits: string): number | undefined {
  return /^(0|[1-9][0-9]{0,15})$/.test(digits) ? Number(digits) : undefined
}

function isFormat(subject: string | undefined, format: string): boolean {
  return text(members(subject ?? "")?.get("format")) === format
}

/** Returns the member of a subject identifier (RFC 9493), or undefined if it has a different format. */
function idOf(subject: string | undefined, format: string, member: string): string | undefined {
  return isFormat(subject, format) ? text(members(subject ?? "")?.get(member)) : undefined
}
