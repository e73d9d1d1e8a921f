// The parts of a browser that the client uses: one cookie jar and one lock manager for all
// tabs of an origin. BroadcastChannel is that of Node.js.
import { onTestFinished, vi } from "vitest"
import { createClient, type Client, type ClientOptions } from "../src/index.js"

export class Browser {
  cookie = ""
  /** Runs before the page gets the response of a request. */
  onAnswer: (url: string) => void | Promise<void> = () => {}

  readonly fetch: typeof fetch = async (input, init) => {
    const url = input instanceof Request ? input.url : String(input)
    // Node.js has no cookie jar, so the cookie is added here.
    const headers = new Headers(init?.headers)
    if (init?.credentials === "include" && this.cookie) headers.set("Cookie", this.cookie)
    const response = await fetch(input, {
      ...init,
      headers,
      ...(init?.body instanceof ReadableStream && { duplex: "half" }),
    } as RequestInit)
    const [set] = response.headers.getSetCookie()
    if (set !== undefined && init?.credentials === "include") {
      this.cookie = /^watchword=(;|$)/.test(set) ? "" : (set.split(";")[0] ?? "")
    }
    await this.onAnswer(url)
    return response
  }

  tab(baseUrl: string, options: Partial<ClientOptions> = {}): Client {
    return closeAfterTest(createClient({ baseUrl, fetch: this.fetch, ...options }))
  }
}

export function closeAfterTest<M extends object>(client: Client<M>): Client<M> {
  onTestFinished(() => client.close())
  return client
}

type Callback = (lock: object | null) => unknown

/** Exclusive Web Locks, granted in the order of the requests. */
export class Locks {
  private readonly tails = new Map<string, Promise<unknown>>()
  granted = 0

  request = async (name: string, options: { signal?: AbortSignal }, callback: Callback): Promise<unknown> => {
    const before = this.tails.get(name) ?? Promise.resolve()
    let release = (): void => {}
    const mine = new Promise<void>((resolve) => (release = resolve))
    this.tails.set(name, before.then(() => mine))
    try {
      await Promise.race([
        before,
        new Promise((_, reject) =>
          options.signal?.addEventListener("abort", () => reject(options.signal?.reason as Error)),
        ),
      ])
      this.granted++
      return await callback({ name })
    } finally {
      release()
    }
  }
}

export function withLocks(): Locks {
  const locks = new Locks()
  vi.stubGlobal("navigator", { locks })
  return locks
}

/** Replaces the client's clock by a clock that the test can set ahead of the real time. */
export function settableClock(): { advance(seconds: number): void } {
  const real = performance.now.bind(performance)
  let ahead = 0
  vi.spyOn(performance, "now").mockImplementation(() => real() + ahead)
  return { advance: (seconds) => (ahead += seconds * 1000) }
}

export function createGate(): { opened: Promise<void>; open(): void } {
  let open = (): void => {}
  const promise = new Promise<void>((resolve) => (open = resolve))
  return { opened: promise, open }
}

/** Fails after 3 s. */
export const waitUntil = (holds: () => boolean): Promise<void> =>
  vi.waitFor(() => {
    if (!holds()) throw new Error(`timeout: ${String(holds)}`)
  }, { timeout: 3000, interval: 5 })

export const ada = { email: "ada@example.com", password: "seven purple otters" }
export const bob = { email: "bob@example.com", password: "nine yellow herons" }
