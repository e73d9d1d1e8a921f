// Renews the token of a page before it expires while the page is visible, and when it
// becomes visible again. Without a page (Node.js, a worker) there is no schedule: the next request renews the token.

import { now } from "./clock.js"
import type { Renewal } from "./renewal.js"
import type { Session } from "./session.js"
import type { Tabs } from "./tabs.js"

export interface Schedule {
  /** Starts to watch the page. Further calls have no effect. */
  start(): void
  stop(): void
  /** Sets the timer of the next renewal. */
  reschedule(): void
}

export interface ScheduleOptions {
  session: Session
  renewal: Renewal
  tabs: Tabs
}

export function createSchedule({ session, renewal, tabs }: ScheduleOptions): Schedule {
  const { backoff } = renewal
  let timer: ReturnType<typeof setTimeout> | undefined
  let watching: AbortController | undefined

  /** The time of the next renewal, or undefined if it is not needed. */
  function nextRenewal(): number | undefined {
    if (!watching || document.visibilityState === "hidden") return undefined
    if (session.token) return Math.max(session.token.dueAt, backoff.waitUntil)
    // The page was loaded, and could not find out whether a user is signed in.
    return session.snapshot.status === "unknown" && backoff.failing ? backoff.waitUntil : undefined
  }

  function reschedule(): void {
    clearTimeout(timer)
    const at = nextRenewal()
    // At most once a second, because tokens at the end of a session live for seconds.
    if (at !== undefined) timer = setTimeout(renewIfDue, Math.max(at - now(), 1000))
  }

  function renewIfDue(): void {
    const at = nextRenewal()
    if (at !== undefined && at <= now()) renew()
    else reschedule()
  }

  function renew(): void {
    renewal.renew().catch(() => {}) // the backoff records it, and the renewal reschedules
  }

  return {
    reschedule,
    start() {
      if (watching || !globalThis.document) return
      watching = new AbortController()
      const { signal } = watching
      signal.addEventListener("abort", session.onChange(reschedule))
      document.addEventListener("visibilitychange", renewIfDue, { signal })
      addEventListener("online", () => {
        backoff.reset()
        renewIfDue()
      }, { signal })
      // A browser may not keep a page with an open channel in its back-forward cache. A page
      // from that cache shows an old state, so it renews at once.
      addEventListener("pagehide", () => tabs.close(), { signal })
      addEventListener("pageshow", ({ persisted }) => {
        tabs.open()
        if (persisted) renew()
      }, { signal })
      reschedule()
    },
    stop() {
      watching?.abort()
      watching = undefined
      clearTimeout(timer)
    },
  }
}
