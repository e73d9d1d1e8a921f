// Suggests passkeys in the field for the address (conditional mediation), until the user chooses one
// or signs in another way.

import { askBrowser, type Ceremony } from "./ceremony.js"
import { WatchwordError } from "./error.js"
import type { Session } from "./session.js"

/** Milliseconds. The server accepts options for 5 minutes. */
const optionsLifetime = 240_000
/** Seconds. The Retry-After of the server takes precedence. */
const retryPause = 60

/**
 * The running passkey requests that the user started, until the server has responded to them. Suggestions wait for
 * them.
 */
const runningDialogs = new Set<Promise<unknown>>()

export function runWithDialog<T>(work: () => Promise<T>): Promise<T> {
  const promise = work()
  const remove = (): void => void runningDialogs.delete(promise)
  runningDialogs.add(promise)
  promise.then(remove, remove)
  return promise
}

export interface Suggestions {
  session: Session
  begin(): Promise<Ceremony>
  signal: AbortSignal | undefined
}

export interface Chosen {
  begun: Ceremony
  credential: object
}

let latest: AbortController | undefined

/**
 * Returns the passkey that the user has chosen. undefined: the signal was aborted, the user is signed
 * in, the server has no passkeys, or the page has called suggest again.
 */
export async function suggest({ session, begin, signal }: Suggestions): Promise<Chosen | undefined> {
  latest?.abort()
  const over = (latest = new AbortController())
  const end = (): void => over.abort()
  const endIfSignedIn = (): void => void (session.snapshot.user && end())
  const removeListener = session.onChange(endIfSignedIn)
  signal?.addEventListener("abort", end)
  if (signal?.aborted) end()
  endIfSignedIn()
  try {
    for (;;) {
      while (runningDialogs.size > 0 && !over.signal.aborted) {
        await settledOrAborted(over.signal, Promise.allSettled(runningDialogs))
      }
      const begun = over.signal.aborted ? undefined : await loadOptions(begin, over.signal)
      if (!begun || over.signal.aborted) return undefined
      const answer = await suggestOnce(begun, over.signal)
      if (answer === "ended") return undefined
      if (answer !== "again") return { begun, credential: answer }
    }
  } finally {
    removeListener()
    signal?.removeEventListener("abort", end)
  }
}

/**
 * Loads the options for suggestions, and retries after each failure. It throws no errors, because the user did not
 * start this request. undefined: the server has no passkeys, or the signal was aborted.
 */
async function loadOptions(begin: () => Promise<Ceremony>, over: AbortSignal): Promise<Ceremony | undefined> {
  while (!over.aborted) {
    try {
      return await begin()
    } catch (error) {
      if (error instanceof WatchwordError && error.code === "NOT_FOUND") return undefined // passkeys are off
      const seconds = (error as Partial<WatchwordError>).retryAfter ?? retryPause
      let timer
      await settledOrAborted(over, new Promise((resolve) => (timer = setTimeout(resolve, seconds * 1000))))
      clearTimeout(timer)
    }
  }
  return undefined
}

/**
 * Suggests until one of these events: the options are old while the page is visible, another request starts, or
 * `over` is aborted.
 */
async function suggestOnce({ publicKey }: Ceremony, over: AbortSignal): Promise<object | "again" | "ended"> {
  const turn = new AbortController()
  const { signal } = turn
  const end = (): void => turn.abort()
  const endIfVisible = (): void => void (globalThis.document?.visibilityState !== "hidden" && end())
  const timer = setTimeout(() => {
    endIfVisible()
    globalThis.document?.addEventListener("visibilitychange", endIfVisible, { signal })
  }, optionsLifetime)
  over.addEventListener("abort", end, { signal })
  try {
    const answer = await askBrowser("get", publicKey, { mediation: "conditional", signal })
    if (answer.credential) return answer.credential
    return !over.aborted && (answer.replaced || signal.aborted) ? "again" : "ended"
  } catch {
    return "ended" // the user did not start this request, so the error is hidden
  } finally {
    clearTimeout(timer)
    end()
  }
}

async function settledOrAborted(signal: AbortSignal, work: Promise<unknown>): Promise<void> {
  if (signal.aborted) return
  let end = (): void => {}
  const aborted = new Promise<void>((resolve) => (end = resolve))
  signal.addEventListener("abort", end, { once: true })
  await Promise.race([work, aborted])
  signal.removeEventListener("abort", end)
}
