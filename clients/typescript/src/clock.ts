// Durations are measured with the monotonic clock, so a wrong or changed time of day does not expire a token. The
// monotonic clock may stop while a laptop sleeps. The server then rejects the expired token, and the client renews
// it.

/** Milliseconds since an arbitrary moment. It never goes back. */
export const now = (): number => performance.now()

/** Settles as the promise does, or resolves with undefined after `ms` milliseconds. */
export function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout>
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer))
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
