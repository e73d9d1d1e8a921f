// The tabs of one origin share one session: they refresh one at a time, and sign in and out together. Sharing only
// saves requests and keeps the tabs consistent. Without channels and locks, each tab works alone. This is safe,
// because the server repeats its response if two tabs send the same refresh token.

import type { User } from "./api.js"
import { createChannel } from "./channel.js"
import { now, pause, within } from "./clock.js"
import type { WatchwordErrorCode } from "./error.js"
import { withLock } from "./lock.js"
import type { Session } from "./session.js"
import { tokenOf } from "./token.js"

/**
 * A message between tabs. `left` is the token's remaining lifetime in milliseconds. It is not a time of expiry,
 * because each tab has its own clock.
 */
type Message =
  | { kind: "token"; accessToken: string; left: number; user: User }
  | { kind: "signedOut"; sid: string | undefined; reason: WatchwordErrorCode | undefined }

/** Milliseconds that a message needs to reach the other tabs. The lock is held until then. */
const deliveryTime = 50

export interface Tabs {
  /** Starts to listen to the other tabs, even after a close. */
  open(): void
  close(): void
  broadcastToken(): void
  /** Signs the other tabs out of the session `sid`. */
  broadcastSignOut(sid: string | undefined, reason?: WatchwordErrorCode): void
  /** Runs work while no other work runs in this tab or another. After the lock timeout, work runs anyway. */
  runExclusive<T>(work: () => Promise<T>): Promise<T>
}

export interface TabsOptions {
  /** The name of the channel and the lock; undefined: this tab works alone. */
  name: string | undefined
  /** Milliseconds to wait for another tab. */
  lockTimeout: number
  session: Session
}

export function createTabs({ name, lockTimeout, session }: TabsOptions): Tabs {
  const channel = createChannel<Message | undefined>(name, (message) => applyMessage(session, message))
  let last: Promise<unknown> = Promise.resolve()

  function runLocked<T>(work: () => Promise<T>): Promise<T> {
    let postedBefore = 0
    const counted = (): Promise<T> => {
      postedBefore = channel.postedCount
      return work()
    }
    return withLock({ name, timeout: lockTimeout }, counted, async () => {
      if (channel.postedCount !== postedBefore) await pause(deliveryTime)
    })
  }

  return {
    open: channel.open,
    close: channel.close,
    broadcastToken() {
      const { token, snapshot } = session
      if (!token || !snapshot.user) return
      channel.post({ kind: "token", accessToken: token.value, left: token.expiresAt - now(), user: snapshot.user })
    },
    broadcastSignOut(sid, reason) {
      channel.post({ kind: "signedOut", sid, reason })
    },
    runExclusive(work) {
      const result = within(last, lockTimeout).then(() => runLocked(work))
      last = result.catch(() => {})
      return result
    },
  }
}

/** Applies a message of another tab. A sign-out from a different session has no effect. */
function applyMessage(session: Session, message: Message | undefined): void {
  if (message?.kind === "token") {
    const { accessToken, left, user } = message
    session.adopt(tokenOf({ accessToken, expiresIn: left / 1000 }, now()), user)
  } else if (message?.kind === "signedOut") {
    const { sid, reason } = message
    if (!sid || !session.token?.sid || sid === session.token.sid) session.signedOut(reason)
  }
}
