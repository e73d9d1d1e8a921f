// When a page renews its token by itself: ahead of expiry while it is seen, and when it
// is seen again. Where there is no page (Node.js, a worker) nothing is scheduled: a
// request renews what it needs.

import { now } from "./clock.js"
import type { Renewal } from "./renewal.js"
import type { Session } from "./session.js"
import type { Tabs } from "./tabs.js"

export interface Schedule {
  /** Starts to watch the page. Any number of times. */
  start(): void
  stop(): void
  /** Looks again when the next question is due. */
  arm(): void
}

export interface ScheduleOptions {
  session: Session
  renewal: Renewal
  tabs: Tabs
}

export function createSchedule({ session, renewal, tabs }: ScheduleOptions): Schedule {
  let timer: ReturnType<typeof setTimeout> | undefined
  let watching: AbortController | undefined

  /** The next moment to ask the server; none if nobody needs it. */
  function next(): number | undefined {
    if (!watching || document.visibilityState === "hidden") return undefined
    if (session.token) return Math.max(session.token.dueAt, renewal.waitUntil)
    // A page that has just been loaded, and could not be told who is there.
    return session.snapshot.status === "unknown" && renewal.failing ? renewal.waitUntil : undefined
  }

  function arm(): void {
    clearTimeout(timer)
    const at = next()
    // Never twice in a second: a session in its last seconds has tokens as short.
    if (at !== undefined) timer = setTimeout(check, Math.max(at - now(), 1000))
  }

  function check(): void {
    const at = next()
    if (at !== undefined && at <= now()) renew()
    else arm()
  }

  /** In the background: a failure is kept in mind by renewal, which has us armed again. */
  function renew(): void {
    renewal.renew().catch(() => {})
  }

  return {
    arm,
    start() {
      if (watching || !globalThis.document) return
      watching = new AbortController()
      const { signal } = watching
      const unsubscribe = session.onChange(arm)
      signal.addEventListener("abort", unsubscribe)
      document.addEventListener("visibilitychange", check, { signal })
      addEventListener("online", () => {
        renewal.calm()
        check()
      }, { signal })
      // A page with an open channel may not be kept for the way back. What such a page
      // shows is as old as its leaving: it asks who is there now.
      addEventListener("pagehide", () => tabs.close(), { signal })
      addEventListener("pageshow", ({ persisted }) => {
        tabs.open()
        if (persisted) renew()
      }, { signal })
      arm()
    },
    stop() {
      watching?.abort()
      watching = undefined
      clearTimeout(timer)
    },
  }
}
