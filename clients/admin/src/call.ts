import { AdminError, readErrorResponse } from "./error.js"

const defaultTimeout = 10_000 // ms
const retryPause = 200 // ms before the second attempt after a lost response
const maxRetryAfter = 10 // s; with a longer Retry-After, the call throws

export interface AdminOptions {
  /** The URL of the server, such as https://id.example.com. http is allowed only on loopback. */
  url: string
  /**
   * A service key, or the access token of an administrator. A function is called for each attempt, because an
   * access token expires.
   */
  key: string | (() => string | Promise<string>)
  /** Milliseconds for one attempt. Default: 10,000. */
  timeout?: number | undefined
  /** Default: the global fetch. */
  fetch?: typeof fetch | undefined
}

export interface CallOptions {
  /** Aborts the request and its retry. The call then throws the reason of the signal. */
  signal?: AbortSignal | undefined
  /**
   * A UUID that identifies this write, instead of a random one. A job that restarts within a day and
   * repeats the write gets the first result.
   */
  idempotencyKey?: string | undefined
}

export interface Operation {
  readonly method: string
  readonly path: string
}

export interface Given {
  /** The ids in the path, in order. */
  ids?: string[]
  query?: object | undefined
  body?: object
  ifMatch?: string | undefined
}

/** Sends a request and returns the body of the response. It retries once if a retry can help. */
export type Call = <T>(operation: Operation, given: Given, options?: CallOptions) => Promise<T>

/** Returns the function that sends requests. The key is hidden in this function, so that logs can't contain it. */
export function createCaller(options: AdminOptions): Call {
  const base = checkURL(options.url)
  const { key, timeout = defaultTimeout } = options
  const getKey = typeof key === "function" ? key : () => key
  if (typeof key !== "function") checkKey(key)
  const sendRequest = options.fetch ?? ((input, init) => fetch(input, init))

  async function attempt<T>(address: string, init: RequestInit, key: string): Promise<T> {
    // Redirects are not followed, because another address must not get the key.
    const response = await sendRequest(address, { ...init, redirect: "manual" })
    if (!response.ok) throw await readErrorResponse(response, key)
    return (response.status === 204 ? undefined : await response.json()) as T
  }

  return async <T>(operation: Operation, given: Given, { signal, idempotencyKey }: CallOptions = {}) => {
    const address = base + fillPath(operation.path, given.ids ?? []) + queryOf(given.query)
    const headers = headersOf(operation.method, given, idempotencyKey)
    const init: RequestInit = { method: operation.method, headers }
    if (given.body) init.body = JSON.stringify(given.body)
    for (let isFirst = true; ; isFirst = false) {
      signal?.throwIfAborted()
      const secret = checkKey(await getKey())
      headers.set("Authorization", `Bearer ${secret}`)
      const late = new AbortController()
      const timer = setTimeout(() => late.abort(), timeout)
      const until = signal ? AbortSignal.any([signal, late.signal]) : late.signal
      try {
        return await attempt<T>(address, { ...init, signal: until }, secret)
      } catch (cause) {
        if (signal?.aborted) throw signal.reason
        const error = cause instanceof AdminError ? cause : unreachable(cause, late.signal.aborted)
        const wait = isFirst ? retryDelay(error) : undefined
        if (wait === undefined) throw error
        await sleep(wait, signal)
      } finally {
        clearTimeout(timer)
      }
    }
  }
}

function headersOf(method: string, given: Given, idempotencyKey: string | undefined): Headers {
  const headers = new Headers({ Accept: "application/json" })
  if (given.body) headers.set("Content-Type", "application/json")
  if (given.ifMatch !== undefined) headers.set("If-Match", given.ifMatch)
  // Both attempts have the same key, so the server makes the change only once.
  if (method !== "GET") headers.set("Idempotency-Key", idempotencyKey ?? crypto.randomUUID())
  return headers
}

function unreachable(cause: unknown, isLate: boolean): AdminError {
  if (isLate) return new AdminError("TIMEOUT", "The server did not respond in time.", { cause })
  const message = "The server could not be reached, or its response was cut off."
  return new AdminError("NETWORK", message, { cause })
}

/** Milliseconds, or undefined if a retry would not help. */
function retryDelay({ status, retryAfter }: AdminError): number | undefined {
  if (status === 0 || status === 502 || status === 504) return retryPause // the response was lost
  const isBusy = status === 503 || status === 429
  return isBusy && retryAfter && retryAfter <= maxRetryAfter ? retryAfter * 1000 : undefined
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    function done(): void {
      clearTimeout(timer)
      signal?.removeEventListener("abort", done)
      resolve()
    }
    signal?.addEventListener("abort", done)
  })
}

/**
 * Rejects an empty id and the ids . and .. because the path would then address another resource, such as all sessions
 * instead of one.
 */
function fillPath(path: string, ids: string[]): string {
  let index = 0
  return path.replace(/\{\w+\}/g, () => {
    const id: unknown = ids[index++]
    if (typeof id !== "string" || /^\.{0,2}$/.test(id)) throw new TypeError("an id is empty or a dot")
    return encodeURIComponent(id)
  })
}

function queryOf(query: object = {}): string {
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value))
  return given.size > 0 ? `?${given.toString()}` : ""
}

/** Rejects a key that is not a valid header value, because the error of fetch would contain it. */
function checkKey(key: unknown): string {
  if (typeof key === "string" && /^[!-~]+$/.test(key)) return key
  throw new TypeError("the key is empty, or has a blank, a newline or a letter that is not ASCII")
}

/** Returns the URL without a slash at its end. Errors don't repeat it, because it may contain a password. */
function checkURL(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new TypeError("url is not an address such as https://id.example.com")
  }
  if (url.username || url.password || /[?#]/.test(text)) throw new TypeError("url has a user, a query or a fragment")
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    throw new TypeError("url has no TLS, so the key could be read on the network: write https")
  }
  return text.replace(/\/+$/, "")
}

function isLoopback(host: string): boolean {
  const name = host.replace(/\.$/, "")
  return /^([a-z0-9-]+\.)*localhost$|^127\.\d+\.\d+\.\d+$|^\[::(1|ffff:7f[0-9a-f]{2}:[0-9a-f]+)\]$/.test(name)
}
