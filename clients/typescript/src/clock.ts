// Time here only ever goes forward: a wrong clock, or one that is set while the page
// is open, makes no token expire. A laptop that slept may find its token older than
// this clock thinks; the server says so, and the token is renewed.

/** Milliseconds since some moment. */
export const now = (): number => performance.now()

/** Settles as the promise does, or resolves after so many milliseconds. */
export function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout>
  const later = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  return Promise.race([promise, later]).finally(() => clearTimeout(timer))
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
