import { now } from "./clock.js"
import { WatchwordError } from "./error.js"

/** Delays the next refresh after a refresh that failed. */
export interface Backoff {
  /** Whether the last refresh failed. */
  readonly failing: boolean
  /** The time of the next attempt, on the clock of clock.ts. */
  readonly waitUntil: number
  /** During the wait, throws the last error again, with the remaining `retryAfter`. */
  check(): void
  /** Starts a wait: the `retryAfter` of the error, or else about twice the last wait, at most a minute. */
  recordFailure(error: unknown): void
  recordSuccess(): void
  /** Ends the wait. Call it when the network is back, or when a user has signed in. */
  reset(): void
}

export function createBackoff(): Backoff {
  let failures = 0
  let failing = false
  let waitUntil = 0
  let lastError: WatchwordError | undefined

  function reset(): void {
    failures = waitUntil = 0
  }

  return {
    get failing() { return failing },
    get waitUntil() { return waitUntil },
    check() {
      const left = waitUntil - now()
      if (left <= 0 || !lastError) return
      const { code, message, status, requestId } = lastError
      throw new WatchwordError(code, message, { status, requestId, retryAfter: Math.ceil(left / 1000) })
    },
    recordFailure(error) {
      lastError = error instanceof WatchwordError ? error : undefined
      const seconds = lastError?.retryAfter ?? Math.min(2 ** failures, 60) * (0.5 + Math.random() / 2)
      failures++
      waitUntil = now() + seconds * 1000
      failing = true
    },
    recordSuccess() {
      reset()
      failing = false
    },
    reset,
  }
}
