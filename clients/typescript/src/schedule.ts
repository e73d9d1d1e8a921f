// Renews the token of a visible page before it expires. A hidden page renews it when it becomes visible. Without a
// page (Node.js, a worker) there is no schedule: the next request renews the token.

import { now } from "./clock.js"
import type { Renewal } from "./renewal.js"
import type { Session } from "./session.js"
import type { Tabs } from "./tabs.js"

export interface Schedule {
  /** Starts to watch the page. Further calls have no effect. */
  start(): void
  stop(): void
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
    // The first refresh of the page has failed, so it is unknown whether a user is signed in.
    return session.snapshot.status === "unknown" && backoff.failing ? backoff.waitUntil : undefined
  }

  function reschedule(): void {
    clearTimeout(timer)
    const at = nextRenewal()
    // At most once a second, because the last tokens of a session live for seconds only.
    if (at !== undefined) timer = setTimeout(renewIfDue, Math.max(at - now(), 1000))
  }

  function renewIfDue(): void {
    const at = nextRenewal()
    if (at !== undefined && at <= now()) renew()
    else reschedule()
  }

  function renew(): void {
    renewal.renew().catch(() => {}) // the backoff records the error, and the renewal sets the timer
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
      // The channel is closed, because some browsers do not keep a page with an open channel
      // in the back-forward cache. A page from that cache shows an old state, so it renews
      // its token at once.
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
