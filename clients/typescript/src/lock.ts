import { now, pause } from "./clock.js"

export interface LockOptions {
  /** The name of the lock, which the tabs share; undefined: no lock is needed. */
  name: string | undefined
  /** Milliseconds to wait for the lock. Then the work runs without it. */
  timeout: number
}

/**
 * Runs work while no other tab holds the lock (Web Locks). After the timeout, or where locks don't work, it runs work
 * without the lock. It returns the result of work. Before it releases the lock, it runs beforeRelease.
 */
export function withLock<T>(
  { name, timeout }: LockOptions,
  work: () => Promise<T>,
  beforeRelease: () => Promise<void>,
): Promise<T> {
  const locks = globalThis.navigator?.locks
  if (!name || !locks) return work()
  return new Promise<T>((resolve, reject) => {
    const requestedAt = now()
    let started = false
    const start = async (): Promise<void> => {
      if (started) return
      started = true
      clearTimeout(timer)
      // If another tab had the lock, its messages must arrive before the work starts.
      if (now() - requestedAt > 5) await pause(0)
      await work().then(resolve, reject)
      await beforeRelease()
    }
    const giveUp = new AbortController()
    const timer = setTimeout(() => {
      giveUp.abort()
      void start()
    }, timeout)
    // In pages with an opaque origin, locks.request throws or rejects.
    Promise.resolve()
      .then(() => locks.request(name, { signal: giveUp.signal }, start))
      .catch(start)
  })
}
