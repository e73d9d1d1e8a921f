import type { Fetch, Transport } from "./transport.js"

/** Stores the refresh token of a program outside a browser page. The token is a secret. */
export interface TokenStorage {
  get(): string | undefined | null | Promise<string | undefined | null>
  set(refreshToken: string): void | Promise<void>
  remove(): void | Promise<void>
  /**
   * Stores the device token, which stays after a sign-out. The token prevents attackers who guess passwords from
   * locking this device out. It grants no access. Default: kept in memory.
   */
  getDevice?(): string | undefined | null | Promise<string | undefined | null>
  setDevice?(deviceToken: string): void | Promise<void>
}

export interface ClientOptions {
  /** The address of Watchword, such as "https://id.example.com". */
  baseUrl: string
  /**
   * Stores the refresh token of a native or server program, which sends it in request bodies. If this is not set, the
   * browser stores the token in a cookie that scripts can't read.
   */
  storage?: TokenStorage
  /** Origins that receive the access token from `fetch`, in addition to those of baseUrl and the page. */
  origins?: readonly string[]
  /**
   * The name of the session that several tabs share. Clients that use the cookie share a session by default: the name
   * is baseUrl. Clients with a storage share a session only if this name is set, because one process can have many
   * sessions.
   */
  shareAs?: string
  /** Milliseconds until a request to Watchword fails with TIMEOUT. Default: 10 000. */
  timeout?: number
  /**
   * Milliseconds until a request of `fetch` fails with TIMEOUT, if the response headers have
   * not arrived. Uploads may need more; Infinity: no limit. Default: 60 000.
   */
  fetchTimeout?: number
  /** Milliseconds to wait for the refresh of another tab. Default: 5 000. */
  lockTimeout?: number
  /** Default: the global fetch. */
  fetch?: Fetch
}

/** The options with their defaults. */
export interface Settings {
  /** The prefix of the API's paths, without a final slash. */
  apiUrl: string
  storage: TokenStorage | undefined
  origins: ReadonlySet<string>
  /** The name of the channel and of the lock; undefined: the tabs do not share a session. */
  sharedName: string | undefined
  lockTimeout: number
  /** For requests to Watchword. */
  transport: Transport
  /** For requests of `fetch`. */
  fetchTransport: Transport
  /** The `credentials` of requests to Watchword. Cookies are sent only if the client has no storage. */
  credentials: Pick<RequestInit, "credentials">
}

export function resolveOptions(options: ClientOptions): Settings {
  const { storage } = options
  const page = globalThis.location?.origin
  const base = new URL(options.baseUrl, page)
  const root = base.href.replace(/\/+$/, "")
  const sharedName = options.shareAs ?? (storage ? undefined : root)
  const fetch: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  return {
    apiUrl: `${root}/api/auth`,
    storage,
    origins: new Set([base.origin, ...(page ? [page] : []), ...(options.origins ?? [])]),
    sharedName: sharedName && `watchword:${sharedName}`,
    lockTimeout: options.lockTimeout ?? 5000,
    transport: { fetch, timeout: options.timeout ?? 10_000 },
    fetchTransport: { fetch, timeout: options.fetchTimeout ?? 60_000 },
    // "omit" is set in pages only, because some edge runtimes reject it.
    credentials: storage ? (page ? { credentials: "omit" } : {}) : { credentials: "include" },
  }
}
