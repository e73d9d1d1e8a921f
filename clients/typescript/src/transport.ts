import { refusal, WatchwordError } from "./error.js"

export type Fetch = typeof globalThis.fetch

export interface Wire {
  fetch: Fetch
  /** Milliseconds until a request must be done with; Infinity: it may take for ever. */
  timeout: number
}

/** Aborted when the first of both is. */
function joined(outer: AbortSignal, late: AbortController): AbortSignal {
  if (AbortSignal.any) return AbortSignal.any([outer, late.signal])
  // Browsers from before 2024. The listener stays as long as the caller's signal does.
  if (outer.aborted) late.abort()
  outer.addEventListener("abort", () => late.abort(), { once: true })
  return late.signal
}

/**
 * Sends one request and hands the answer, whatever it says, to finish: what is not
 * done with by then is TIMEOUT, and NETWORK if it breaks off. If the caller's own signal
 * ends it, the reason of that is thrown, as by fetch.
 */
export async function send<T>(wire: Wire, input: RequestInfo | URL, init: RequestInit, finish: (response: Response) => T | Promise<T>): Promise<T> {
  const outer = init.signal ?? (input instanceof Request ? input.signal : undefined)
  const late = new AbortController()
  const timer = wire.timeout < Infinity ? setTimeout(() => late.abort(), wire.timeout) : undefined
  try {
    const signal = outer ? joined(outer, late) : late.signal
    return await finish(await wire.fetch(input, { ...init, signal }))
  } catch (cause) {
    if (cause instanceof WatchwordError || outer?.aborted) throw cause
    if (late.signal.aborted) throw new WatchwordError("TIMEOUT", "The server did not answer in time. Try again.", { cause })
    throw new WatchwordError("NETWORK", "The server could not be reached. Check the connection and try again.", { cause })
  } finally {
    clearTimeout(timer)
  }
}

/** Reads an answer of our API, or throws its refusal. */
export async function read<T>(response: Response): Promise<T> {
  if (!response.ok) throw await refusal(response)
  return (await response.json()) as T
}

/** A request to our API. Without a body it needs no preflight for one. */
export function request(method: string, body?: object): RequestInit {
  return body ? { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : { method }
}
