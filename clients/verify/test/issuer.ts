// A fake issuer with a revocation feed whose events the test sends. It responds to a
// verifier's requests without a network, and uses Vitest's fake clock.
import { CompactSign, exportJWK, generateKeyPair, type CryptoKey, type JWK } from "jose"
import { onTestFinished, vi } from "vitest"
import { Verifier, type TokenError, type VerifierOptions } from "../src/index.js"

export interface SigningKey {
  alg: string
  kid: string
  privateKey: CryptoKey | Uint8Array
  jwk: JWK
}

export async function newKey(alg = "ES256", kid = "k1"): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { alg, kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } }
}

export const nowSeconds = (): number => Math.floor(Date.now() / 1000)

type Json = Record<string, unknown>

/** Signs any text, so that only the content can cause a rejection. */
export function signText(key: SigningKey, header: Json, payload: string): Promise<string> {
  return new CompactSign(new TextEncoder().encode(payload))
    .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
    .sign(key.privateKey)
}

/** A response that stays open. */
export class Stream {
  private controller!: ReadableStreamDefaultController<Uint8Array>
  readonly body = new ReadableStream<Uint8Array>({ start: (controller) => void (this.controller = controller) })
  ended = false

  constructor(
    readonly after: string,
    signal: AbortSignal,
  ) {
    signal.addEventListener("abort", () => this.close(() => this.controller.error(signal.reason)))
  }

  send(...tokens: string[]): void {
    for (const token of tokens) this.controller.enqueue(new TextEncoder().encode(`event: set\ndata: ${token}\n\n`))
  }

  cut(): void {
    this.close(() => this.controller.close())
  }

  private close(how: () => void): void {
    if (this.ended) return
    this.ended = true
    how()
  }
}

export interface Page {
  sets: string[]
  more?: boolean
  next?: number
}

export class FakeIssuer {
  readonly url = "https://id.example.com"
  readonly streams: Stream[] = []
  readonly polls: string[] = [] // the cursor of each poll
  readonly requests: string[] = []
  isDown = false
  hasStream = true
  page: ((after: string) => Page) | undefined
  metadata: Json = {
    issuer: this.url,
    jwks_uri: `${this.url}/jwks`,
    revocation_feed_endpoint: `${this.url}/revocations`,
    revocation_stream_endpoint: `${this.url}/revocations/stream`,
  }
  jwks: () => unknown

  constructor(readonly key: SigningKey) {
    this.jwks = () => ({ keys: [key.jwk] })
  }

  readonly fetch = ((input: string, init: RequestInit): Promise<Response> => {
    const url = new URL(input)
    this.requests.push(url.pathname)
    if (this.isDown) return Promise.reject(new TypeError("fetch failed"))
    const json = (value: unknown): Response => Response.json(value, { headers: { "Cache-Control": "max-age=300" } })
    const respond = (): Response => {
      switch (url.pathname) {
        case "/.well-known/openid-configuration":
          return json(this.metadata)
        case "/jwks":
          return json(this.jwks())
        case "/revocations/stream": {
          if (!this.hasStream) break
          const stream = new Stream(new Headers(init.headers).get("Last-Event-ID") ?? "", init.signal as AbortSignal)
          this.streams.push(stream)
          return new Response(stream.body, { headers: { "Content-Type": "text/event-stream" } })
        }
        case "/revocations": {
          this.polls.push(url.searchParams.get("after") ?? "")
          if (!this.page) break
          const { sets, more = false, next } = this.page(this.polls.at(-1) ?? "")
          return json({ sets: Object.fromEntries(sets.entries()), moreAvailable: more, next })
        }
      }
      return new Response("", { status: 503 })
    }
    return Promise.resolve(respond())
  }) as typeof fetch

  verifier(options: VerifierOptions = {}): Verifier {
    return this.verifierOf(this.url, options)
  }

  verifierOf(name: string, options: VerifierOptions): Verifier {
    const verifier = new Verifier(name, { fetch: this.fetch, ...options })
    onTestFinished(() => verifier.close())
    return verifier
  }

  claims(change: Json = {}): Json {
    const now = nowSeconds()
    const times = { iat: now, nbf: now - 60, exp: now + 900, auth_time: now }
    const all = {
      iss: this.url,
      aud: this.url,
      sub: "ada",
      sid: "s1",
      jti: "t1",
      ...times,
      roles: ["editor"],
      amr: ["pwd"],
      acr: "aal1",
    }
    return { ...all, ...change }
  }

  token(change: Json = {}, header: Json = {}): Promise<string> {
    return signText(this.key, { typ: "at+jwt", ...header }, JSON.stringify(this.claims(change)))
  }

  event(kind: string, body: Json, change: Json = {}): Promise<string> {
    const events = { [`https://schemas.openid.net/secevent/${kind}`]: body }
    const claims = { iss: this.url, aud: this.url, iat: nowSeconds(), jti: "e1", events, ...change }
    return signText(this.key, { typ: "secevent+jwt" }, JSON.stringify(claims))
  }

  sessionEnd(number: number, session: string, change: Json = {}): Promise<string> {
    const subject = { format: "complex", session: { format: "opaque", id: session } }
    return this.event(
      "caep/event-type/session-revoked",
      { event_timestamp: nowSeconds() },
      { number, sub_id: subject, ...change },
    )
  }

  claimsChange(number: number, user: string): Promise<string> {
    const subject = { format: "iss_sub", iss: this.url, sub: user }
    return this.event(
      "caep/event-type/token-claims-change",
      { event_timestamp: nowSeconds() },
      { number, sub_id: subject },
    )
  }

  heartbeat(head: number): Promise<string> {
    const subject = { format: "opaque", id: "0" }
    return this.event("ssf/event-type/verification", { state: String(head) }, { sub_id: subject })
  }

  /** `n` counts the streams that the verifier opens, from 1. */
  async stream(n: number): Promise<Stream> {
    for (let waited = 0; waited < 60_000; waited += 50) {
      await settle()
      const found = this.streams[n - 1]
      if (found) return found
      await vi.advanceTimersByTimeAsync(50)
    }
    throw new Error(`no stream ${n} was opened for a minute`)
  }
}

/** Replaces timers and clocks. WebCrypto verifies signatures in other threads, so tests wait for them with `settle`. */
export function useFakeClock(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"], now: 1_795_000_000_000 })
  onTestFinished(() => void vi.useRealTimers())
}

let onThreads = 0 // number of running WebCrypto operations

for (const name of ["verify", "sign", "importKey", "digest"] as const) {
  const real = crypto.subtle[name].bind(crypto.subtle) as (...all: unknown[]) => Promise<unknown>
  const counted = async (...all: unknown[]): Promise<unknown> => {
    onThreads++
    try {
      return await real(...all)
    } finally {
      onThreads--
    }
  }
  Object.defineProperty(crypto.subtle, name, { value: counted, configurable: true })
}

/** Waits until all pending work is done, even on slow threads. */
export async function settle(): Promise<void> {
  for (let idle = 0; idle < 20; idle = onThreads > 0 ? 0 : idle + 1) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Advances the fake clock in steps, and waits for signatures after each step. */
export async function advance(ms: number, step = 250): Promise<void> {
  for (let done = 0; done < ms; done += step) {
    await vi.advanceTimersByTimeAsync(Math.min(step, ms - done))
    await settle()
  }
}

/** The error code, or "". */
export async function rejection(verifier: Verifier, token: string): Promise<string> {
  try {
    await verifier.verify(token)
    return ""
  } catch (error) {
    return (error as TokenError).code
  }
}
