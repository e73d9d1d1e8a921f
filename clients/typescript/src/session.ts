// What one tab knows of the session: nothing of it is written anywhere.

import type { SignIn, User } from "./api.js"
import { now } from "./clock.js"
import type { WatchwordErrorCode } from "./error.js"

/** What an application shows. The object is another one if, and only if, something changed. */
export type Snapshot =
  | { readonly status: "unknown"; readonly user: undefined }
  | { readonly status: "signedIn"; readonly user: User }
  /** `reason` is there if the session was ended by other means than a sign-out here. */
  | { readonly status: "signedOut"; readonly user: undefined; readonly reason?: WatchwordErrorCode }

export interface Token {
  readonly value: string
  /** The session it belongs to: claim `sid`. */
  readonly sid: string | undefined
  /** By our clock, as the others. */
  readonly expiresAt: number
  /** From then on it is worth a refresh in the background. Tabs differ, so that one is first. */
  readonly dueAt: number
  /** From then on a request waits for a refresh. */
  readonly staleAt: number
}

/**
 * Reads what the server answered to a request that was sent at `sent`: the token is
 * younger than that, never older.
 */
export function tokenOf(answer: Pick<SignIn, "accessToken" | "expiresIn">, sent: number): Token {
  const life = answer.expiresIn * 1000
  const margin = Math.min(life / 10, 60_000)
  return {
    value: answer.accessToken,
    sid: sidOf(answer.accessToken),
    expiresAt: sent + life,
    dueAt: sent + life - margin * (1 + Math.random()),
    staleAt: sent + life - Math.min(margin / 2, 10_000),
  }
}

function sidOf(jwt: string): string | undefined {
  try {
    const claims = JSON.parse(atob((jwt.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/"))) as { sid?: string }
    return claims.sid
  } catch {
    return undefined
  }
}

export type Listener = (snapshot: Snapshot) => void

export interface Session {
  readonly snapshot: Snapshot
  readonly token: Token | undefined
  /**
   * Aborted by the next sign-in or sign-out. Who waits for an answer keeps the era of
   * its request, and drops the answer if that has passed.
   */
  readonly era: AbortSignal
  /** A new era. */
  signedIn(token: Token, user: User): void
  /** A new era. */
  signedOut(reason?: WatchwordErrorCode): void
  /** The same era, if the session is the same. */
  renewed(token: Token, user: User): void
  /** What another tab found out. It never takes back a session that ended here. */
  heard(token: Token, user: User): void
  onChange(listener: Listener): () => void
}

export function createSession(): Session {
  const listeners = new Set<Listener>()
  let snapshot: Snapshot = { status: "unknown", user: undefined }
  let token: Token | undefined
  let era = new AbortController()
  let ended: string | undefined // the last session that ended, or was left, here

  function become(next: Snapshot): void {
    // What was read from JSON is compared as such.
    if (JSON.stringify(next) === JSON.stringify(snapshot)) return
    snapshot = next
    for (const listener of [...listeners]) {
      try {
        listener(next)
      } catch (error) {
        // A fault of the application: reported as one, and no concern of the session.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  function begin(next: Token | undefined): void {
    if (token && token.sid !== next?.sid) ended = token.sid
    token = next
    const past = era
    era = new AbortController()
    past.abort()
  }

  const session: Session = {
    get snapshot() {
      return snapshot
    },
    get token() {
      return token
    },
    get era() {
      return era.signal
    },
    signedIn(next, user) {
      begin(next)
      become({ status: "signedIn", user })
    },
    signedOut(reason) {
      begin(undefined)
      if (snapshot.status === "signedOut") return // for the reason that is known
      become(reason ? { status: "signedOut", user: undefined, reason } : { status: "signedOut", user: undefined })
    },
    renewed(next, user) {
      if (token?.sid !== next.sid || !token) begin(next)
      token = next
      become({ status: "signedIn", user })
    },
    heard(next, user) {
      if (next.expiresAt > now() && (!next.sid || next.sid !== ended)) session.renewed(next, user)
    },
    onChange(listener) {
      // The same function twice is two listeners.
      const own: Listener = (s) => listener(s)
      listeners.add(own)
      return () => listeners.delete(own)
    },
  }
  return session
}
