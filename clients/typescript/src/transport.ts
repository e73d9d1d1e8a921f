import { readErrorResponse, WatchwordError } from "./error.js"

export type Fetch = typeof globalThis.fetch

export interface Transport {
  fetch: Fetch
  /** Milliseconds for a request and its handler; Infinity: no limit. */
  timeout: number
}

export type Handler<T> = (response: Response) => T | Promise<T>

/**
 * Sends one request and returns the handler's result for every status. It throws TIMEOUT
 * if the handler has not finished in time, and NETWORK if the connection fails. If the
 * caller's own signal aborts the request, it throws the reason of that signal, as fetch does.
 */
export async function send<T>(
  transport: Transport,
  input: RequestInfo | URL,
  init: RequestInit,
  handle: Handler<T>,
): Promise<T> {
  const callerSignal = callerSignalOf(input, init)
  const timeout = new AbortController()
  const timer = transport.timeout < Infinity ? setTimeout(() => timeout.abort(), transport.timeout) : undefined
  try {
    const signal = callerSignal ? anySignal(callerSignal, timeout) : timeout.signal
    return await handle(await transport.fetch(input, { ...init, signal }))
  } catch (cause) {
    if (cause instanceof WatchwordError || callerSignal?.aborted) throw cause
    if (timeout.signal.aborted) {
      throw new WatchwordError("TIMEOUT", "The server did not respond in time. Try again.", { cause })
    }
    const message = "The server could not be reached. Check the connection and try again."
    throw new WatchwordError("NETWORK", message, { cause })
  } finally {
    clearTimeout(timer)
  }
}

export function callerSignalOf(input: RequestInfo | URL, init: RequestInit): AbortSignal | null | undefined {
  return init.signal ?? (input instanceof Request ? input.signal : undefined)
}

function anySignal(callerSignal: AbortSignal, timeout: AbortController): AbortSignal {
  if (AbortSignal.any) return AbortSignal.any([callerSignal, timeout.signal])
  // Browsers released before 2024 lack AbortSignal.any. This listener stays until the caller's signal is
  // garbage-collected.
  if (callerSignal.aborted) timeout.abort()
  callerSignal.addEventListener("abort", () => timeout.abort(), { once: true })
  return timeout.signal
}

/** Decodes a response of Watchword's API. It throws an error response, and returns undefined for a 204. */
export async function readJSON<T>(response: Response): Promise<T> {
  if (!response.ok) throw await readErrorResponse(response)
  if (response.status === 204) return undefined as T
  return (await response.json()) as T
}

/** Returns a request to Watchword's API. Without a body it sets no Content-Type. */
export function jsonRequest(method: string, body?: object): RequestInit {
  return body ? { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : { method }
}
