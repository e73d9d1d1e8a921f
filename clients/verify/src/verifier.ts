import { TokenError, unavailable } from "./error.js"
import { Feed } from "./feed.js"
import { isTimely, readIdentity, type Expected, type Identity } from "./identity.js"
import { checkIssuer, isIssuerName, hasOnlySchemeAndHost, Issuer } from "./issuer.js"
import { hasValidSignature, parseJws } from "./jws.js"
import { Keys, type KeySet } from "./keys.js"
import { Revocations } from "./revocations.js"
import { monotonic, sleep } from "./sleep.js"

const tokenType = "at+jwt"

/** The options of a Verifier. All are optional, and the defaults are safe. */
export interface VerifierOptions {
  /** The `aud` that tokens must name: the setting `audience` of the server. Default: the issuer. */
  audience?: string
  /** The issuer's secret of at least 32 bytes, if it signs with HS256. No other algorithm is then accepted. */
  signingSecret?: string | Uint8Array
  /** Seconds that the issuer's clock may be ahead, at most 60. It does not extend a token's life. Default: 5. */
  leeway?: number
  /**
   * Whether tokens are accepted ("open") or rejected with `TRY_LATER` ("closed") if the revocation feed is silent for
   * more than `staleAfter` seconds. Default: "open", 10 s.
   */
  onStale?: "open" | "closed"
  staleAfter?: number
  /** How many verified tokens are cached, at about 2 kB each. 0: no cache. Default: 8192. */
  cacheSize?: number
  /**
   * Another address of the server, such as "http://watchword:8080". Metadata, keys and feed are
   * fetched from it. The metadata must still name the issuer, except with `signingSecret` and
   * `audience`. With http, the network must be trusted.
   */
  fetchFrom?: string
  /** The protection space in WWW-Authenticate. Default: the host of the issuer. */
  realm?: string
  /** Receives a warning when keys or revocations can't be read. Default: discards it. */
  warn?: (message: string, error: unknown) => void
  /** Sends the requests to the issuer. Default: `fetch`. */
  fetch?: typeof fetch
  /** The clock for the times in tokens, in ms. Default: `Date.now`. */
  now?: () => number
}

/**
 * Verifies the access tokens of one issuer, and follows its revocation feed. Create one, and keep
 * it until the program ends. Background requests keep the process alive until `close`.
 */
export class Verifier {
  readonly realm: string
  private readonly expected: Expected
  private readonly options: VerifierOptions
  private readonly now: () => number
  private readonly closing = new AbortController()
  private readonly keys: Keys
  private readonly revocations = new Revocations()
  private readonly feed: Feed
  private readonly cache = new Map<string, { set: KeySet; identity: Identity }>()
  private running: Promise<void> | undefined

  /**
   * @param issuer exactly the `iss` of the tokens, such as "https://id.example.com". If the server signs with HS256,
   *   its setting issuer can be a name, such as "your-app". A name needs `signingSecret`, `fetchFrom` and `audience`.
   *   The `iss` of the metadata and of the events is then the server's URL.
   * @throws TypeError or RangeError for an invalid option. The constructor sends no request.
   */
  constructor(issuer: string, options: VerifierOptions = {}) {
    const isNamed = options.signingSecret !== undefined && !!options.fetchFrom && !!options.audience
    if (!isNamed || !isIssuerName(issuer)) checkIssuer(issuer)
    checkOptions(options)
    this.options = options
    this.realm = options.realm ?? hostOf(issuer)
    this.now = options.now ?? Date.now
    this.expected = { issuer, audience: options.audience ?? issuer, leeway: options.leeway ?? 5 }
    const { signingSecret: secret, fetchFrom, warn = () => undefined } = options
    const closed = this.closing.signal
    const source = new Issuer(issuer, isNamed, fetchFrom, options.fetch ?? ((...args) => fetch(...args)), closed)
    this.keys = new Keys(source, typeof secret === "string" ? Buffer.from(secret) : secret, closed, warn)
    const { revocations, keys, now } = this
    const { audience, leeway } = this.expected
    this.feed = new Feed({ issuer: source, keys, revocations, audience, leeway, closed, now, warn })
  }

  /**
   * Returns the identity that a token proves. It waits for the network only for the first token
   * and for an unknown key. For an unknown key, it reads the keys again, at most once in ten
   * seconds.
   * @throws TokenError
   */
  async verify(token: string): Promise<Identity> {
    this.start()
    const current = this.keys.currentKeys()
    const set = current instanceof Promise ? await current : current
    const identity = this.cachedIdentity(token, set) ?? (await this.verifyUncached(token, set))
    // A session can end at any time, so this check also runs for cached tokens.
    if (this.isStale()) throw new TokenError("TRY_LATER", new Error("the revocation feed is silent"))
    this.revocations.check(identity)
    return identity
  }

  /**
   * Waits until tokens can be verified. Use it in a readiness probe, or before a program
   * starts to listen. With `onStale: "closed"` it also waits for the revocations.
   * @throws TokenError `TRY_LATER` after the timeout (ms)
   */
  async ready(timeout = 10_000): Promise<void> {
    this.start()
    const end = monotonic() + timeout
    for (;;) {
      const failure = await Promise.resolve(this.keys.currentKeys()).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (failure === undefined && !this.isStale()) return
      if (this.closing.signal.aborted || monotonic() >= end) {
        throw unavailable(failure ?? new Error("the revocation feed is silent"))
      }
      await sleep(20, this.closing.signal)
    }
  }

  /** Stops the background requests and waits for them. Afterwards `verify` always throws `TRY_LATER`. */
  async close(): Promise<void> {
    this.closing.abort(new Error("the verifier is closed"))
    await this.running
  }

  /** Returns the seconds since a time in a token. */
  age(time: number): number {
    return this.now() / 1000 - time
  }

  private start(): void {
    if (this.closing.signal.aborted) throw unavailable(new Error("the verifier is closed"))
    this.running ??= this.feed.run()
  }

  private isStale(): boolean {
    const { onStale = "open", staleAfter = 10 } = this.options
    return onStale === "closed" && this.revocations.timeSinceComplete(monotonic()) > staleAfter * 1000
  }

  /** Returns undefined if the token was verified with other keys, or its times no longer allow its use. */
  private cachedIdentity(token: string, set: KeySet): Identity | undefined {
    const entry = this.cache.get(token)
    const now = this.now() / 1000
    const isValid = entry?.set === set && entry.identity.expiresAt > now
    return isValid && isTimely(entry.identity.claims, now, this.expected.leeway) ? entry.identity : undefined
  }

  /** Checks format, key, signature and claims. */
  private async verifyUncached(token: string, set: KeySet): Promise<Identity> {
    const parsed = parseJws(token, tokenType)
    if (!parsed) throw new TokenError("TOKEN_INVALID")
    if (!set.has(parsed.kid)) set = await this.keys.rereadUnlessRecent()
    const key = set.get(parsed.kid)
    if (!key || !(await hasValidSignature(parsed, key))) throw new TokenError("TOKEN_INVALID")
    const now = this.now() / 1000
    const identity = readIdentity(parsed.payload, this.expected, now)
    if (!identity) throw new TokenError("TOKEN_INVALID")
    if (identity.expiresAt <= now) throw new TokenError("TOKEN_EXPIRED")
    this.cacheIdentity(token, set, identity)
    return identity
  }

  /**
   * In a full cache, the oldest token is replaced. Forged tokens are not cached, so they can't evict valid ones.
   */
  private cacheIdentity(token: string, set: KeySet, identity: Identity): void {
    const { cacheSize = 8192 } = this.options
    this.cache.delete(token)
    if (this.cache.size >= cacheSize) this.cache.delete(this.cache.keys().next().value ?? "")
    if (cacheSize > 0) this.cache.set(token, { set, identity })
  }
}

/** Returns the host of an issuer URL. It returns an issuer that is only a name unchanged. */
function hostOf(issuer: string): string {
  return (URL.canParse(issuer) && new URL(issuer).host) || issuer
}

function checkOptions({ leeway = 5, onStale = "open", staleAfter = 10, ...options }: VerifierOptions): void {
  const { cacheSize = 0, fetchFrom, realm = "" } = options
  if (!(leeway >= 0 && leeway <= 60)) throw new RangeError(`leeway is ${leeway}: write seconds from 0 to 60`)
  if (!["open", "closed"].includes(onStale)) throw new TypeError(`onStale is ${onStale}: write "open" or "closed"`)
  if (!(staleAfter >= 0)) throw new RangeError(`staleAfter is ${staleAfter}: write seconds from 0`)
  if (!(Number.isInteger(cacheSize) && cacheSize >= 0 && cacheSize <= 1 << 20)) {
    throw new RangeError(`cacheSize is ${cacheSize}: write 0 to ${1 << 20}`)
  }
  if (fetchFrom !== undefined && !hasOnlySchemeAndHost(fetchFrom)) {
    throw new TypeError("fetchFrom is not an origin: write scheme and host, such as http://watchword:8080")
  }
  if (/[^ -~]|["\\]/.test(realm)) throw new TypeError("realm: write printable ASCII without quotes and backslashes")
}
