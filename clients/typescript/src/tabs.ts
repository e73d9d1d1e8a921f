// What the tabs of one origin do together: one refresh at a time, and nobody signed in
// where another has signed out. All of it is a courtesy to the server and to the user,
// never a condition: without channels and locks, or with a tab that never lets its lock
// go, each goes on alone, and the server's rotation makes that harmless.

import type { User } from "./api.js"
import { now, pause, within } from "./clock.js"
import type { WatchwordErrorCode } from "./error.js"
import { tokenOf, type Session } from "./session.js"

type News =
  | { kind: "token"; accessToken: string; left: number; user: User }
  | { kind: "signedOut"; sid: string | undefined; reason: WatchwordErrorCode | undefined }

/** News take a moment to the other tabs. They are to be there before the lock is. */
const delivery = 50

export interface Tabs {
  /** Starts to listen. Again after a close, too. */
  open(): void
  close(): void
  /** Tells the other tabs of the token that the session has now. */
  tellToken(): void
  tellSignedOut(sid: string | undefined, reason?: WatchwordErrorCode): void
  /** Runs the work when no other work of this kind runs, in any tab; or at last anyway. */
  alone<T>(work: () => Promise<T>): Promise<T>
}

export interface TabsOptions {
  /** What the tabs have in common; undefined: there is only this one. */
  name: string | undefined
  /** Milliseconds to wait for the others before one goes on without them. */
  patience: number
  session: Session
}

export function createTabs({ name, patience, session }: TabsOptions): Tabs {
  let channel: BroadcastChannel | undefined
  let last: Promise<unknown> = Promise.resolve()
  let told = 0 // how many news there were

  function hear({ data }: MessageEvent<News>): void {
    if (data?.kind === "token") {
      session.heard(tokenOf({ accessToken: data.accessToken, expiresIn: data.left / 1000 }, now()), data.user)
    } else if (data?.kind === "signedOut") {
      // Of another session than ours: somebody has signed in here since.
      if (!data.sid || !session.token?.sid || data.sid === session.token.sid) session.signedOut(data.reason)
    }
  }

  function tell(news: News): void {
    told++
    try {
      channel?.postMessage(news)
    } catch {
      // It was closed meanwhile.
    }
  }

  /** Runs the work under the lock of all tabs. */
  function locked<T>(work: () => Promise<T>): Promise<T> {
    const locks = globalThis.navigator?.locks
    if (!name || !locks) return work()
    return new Promise<T>((resolve, reject) => {
      const asked = now()
      let begun = false
      const start = async (): Promise<void> => {
        if (begun) return
        begun = true
        clearTimeout(timer)
        if (now() - asked > 5) await pause(0) // another had it: its news may be next in the queue
        const before = told
        await work().then(resolve, reject)
        if (told !== before) await pause(delivery)
      }
      const giveUp = new AbortController()
      const timer = setTimeout(() => {
        giveUp.abort()
        void start()
      }, patience)
      // Some pages may not have locks: those of an opaque origin, for one.
      Promise.resolve()
        .then(() => locks.request(name, { signal: giveUp.signal }, start))
        .catch(start)
    })
  }

  return {
    open() {
      if (channel || !name || !globalThis.BroadcastChannel) return
      try {
        channel = new BroadcastChannel(name)
        channel.onmessage = hear
        // In Node.js it would keep the process alive.
        ;(channel as { unref?: () => void }).unref?.()
      } catch {
        // An opaque origin: there are no other tabs that could hear us.
      }
    },
    close() {
      channel?.close()
      channel = undefined
    },
    tellToken() {
      const { token, snapshot } = session
      if (token && snapshot.user) tell({ kind: "token", accessToken: token.value, left: token.expiresAt - now(), user: snapshot.user })
    },
    tellSignedOut(sid, reason) {
      tell({ kind: "signedOut", sid, reason })
    },
    alone(work) {
      const before = last
      const mine = within(before, patience).then(() => locked(work))
      last = mine.catch(() => {})
      return mine
    },
  }
}
