import { TokenError } from "./error.js"
import type { Identity } from "./identity.js"

/** Revocations are kept until all earlier tokens have expired, even with wrong clocks. */
const retention = 65 * 60_000 // ms

/**
 * The maximum number of revocations in memory. At this limit, revocations may be missing, so the verifier acts as if
 * the feed were silent.
 */
const maxRevocations = 500_000

/** The contents of the feed: ended sessions, and users whose older tokens are out of date. */
export class Revocations {
  private readonly endedSessions = new Map<string, number>() // when the event of a session arrived, by sid
  private readonly roleChanges = new Map<string, { before: number; received: number }>() // by sub
  private currentAt = -Infinity
  private overflow = false

  constructor(private readonly limit = maxRevocations) {}

  endSession(session: string, now: number): void {
    if (!this.endedSessions.has(session) && this.hasRoom()) this.endedSessions.set(session, now)
  }

  /** Marks the user's tokens that were issued before a Unix time in seconds as out of date. */
  recordRoleChange(user: string, before: number, now: number): void {
    const known = this.roleChanges.get(user)
    if (before > (known?.before ?? 0) && (known || this.hasRoom())) {
      this.roleChanges.set(user, { before, received: now })
    }
  }

  private hasRoom(): boolean {
    if (this.endedSessions.size + this.roleChanges.size < this.limit) return true
    this.overflow = true
    return false
  }

  deleteExpired(now: number): void {
    for (const [session, received] of this.endedSessions) {
      if (now - received > retention) this.endedSessions.delete(session)
    }
    for (const [user, { received }] of this.roleChanges) if (now - received > retention) this.roleChanges.delete(user)
  }

  markComplete(now: number): void {
    if (!this.overflow) this.currentAt = Math.max(this.currentAt, now)
  }

  /**
   * Reports whether the feed must be read again from its start, because revocations did not fit and there is now
   * room. It reports true once per overflow.
   */
  takeOverflow(): boolean {
    if (!this.overflow || this.endedSessions.size + this.roleChanges.size >= this.limit) return false
    this.overflow = false
    return true
  }

  timeSinceComplete(now: number): number {
    return now - this.currentAt
  }

  check(identity: Identity): void {
    if (this.endedSessions.has(identity.sessionId)) throw new TokenError("SESSION_ENDED")
    if (identity.issuedAt < (this.roleChanges.get(identity.subject)?.before ?? 0)) throw new TokenError("TOKEN_EXPIRED")
  }
}
