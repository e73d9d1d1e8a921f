/** Milliseconds of the monotonic clock: intervals do not depend on the time of day. */
export const monotonic = (): number => performance.now()

/** Waits, or returns at once when the signal is aborted. The timer does not keep the process alive. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    timer.unref()
    signal.addEventListener("abort", done)
  })
}
