// The state of the session in one tab. It is in memory only.

import type { User } from "./api.js"
import { now } from "./clock.js"
import type { WatchwordErrorCode } from "./error.js"
import type { Token } from "./token.js"

/** The state for an application to show. Only a change creates a new object. */
export type Snapshot =
  | { readonly status: "unknown"; readonly user: undefined }
  | { readonly status: "signedIn"; readonly user: User }
  /** `reason` is absent for a visitor who was not signed in, and after a sign-out by this client. */
  | { readonly status: "signedOut"; readonly user: undefined; readonly reason?: WatchwordErrorCode }

export type Listener = (snapshot: Snapshot) => void

export interface Session {
  readonly snapshot: Snapshot
  readonly token: Token | undefined
  /**
   * Aborted at the next sign-in or sign-out. A caller reads the signal before its
   * request, and drops the response if the signal was aborted.
   */
  readonly signal: AbortSignal
  /** Starts a session, and aborts the signal. */
  signedIn(token: Token, user: User): void
  /** Ends the session, and aborts the signal. */
  signedOut(reason?: WatchwordErrorCode): void
  /** Replaces token and user. It aborts the signal only if the token belongs to another session. */
  renewed(token: Token, user: User): void
  /** Takes a token from another tab, unless it has expired or its session has ended in this tab. */
  adopt(token: Token, user: User): void
  onChange(listener: Listener): () => void
}

export function createSession(): Session {
  const listeners = new Set<Listener>()
  let snapshot: Snapshot = { status: "unknown", user: undefined }
  let token: Token | undefined
  let controller = new AbortController()
  let endedSid: string | undefined // the last session that ended in this tab

  function publish(next: Snapshot): void {
    // Snapshots consist of JSON values, so two snapshots are equal if their JSON is equal.
    if (JSON.stringify(next) === JSON.stringify(snapshot)) return
    snapshot = next
    notify(listeners, next)
  }

  function replaceSession(next: Token | undefined): void {
    if (token && token.sid !== next?.sid) endedSid = token.sid
    token = next
    const previous = controller
    controller = new AbortController()
    previous.abort()
  }

  const session: Session = {
    get snapshot() { return snapshot },
    get token() { return token },
    get signal() { return controller.signal },
    signedIn(next, user) {
      replaceSession(next)
      publish({ status: "signedIn", user })
    },
    signedOut(reason) {
      replaceSession(undefined)
      if (snapshot.status === "signedOut") return // keep the first reason
      publish({ status: "signedOut", user: undefined, ...(reason && { reason }) })
    },
    renewed(next, user) {
      if (!token || token.sid !== next.sid) replaceSession(next)
      token = next
      publish({ status: "signedIn", user })
    },
    adopt(next, user) {
      if (next.expiresAt > now() && (!next.sid || next.sid !== endedSid)) session.renewed(next, user)
    },
    onChange(listener) {
      // A listener that is added twice is called twice, because each call creates a new function.
      const added: Listener = (next) => listener(next)
      listeners.add(added)
      return () => listeners.delete(added)
    },
  }
  return session
}

/** An error of a listener is reported as an uncaught error. */
function notify(listeners: ReadonlySet<Listener>, snapshot: Snapshot): void {
  for (const listener of [...listeners]) {
    try {
      listener(snapshot)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
