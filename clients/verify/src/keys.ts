import { importJWK, type CryptoKey, type JWK } from "jose"
import { unavailable } from "./error.js"
import { parseObject, type Issuer } from "./issuer.js"
import { monotonic } from "./sleep.js"

const maxJwks = 256 << 10 // bytes
const maxKeys = 64
const minSecret = 32 // bytes (RFC 7518, section 3.2)

// A JWKS stays fresh as long as its Cache-Control says, within these bounds (ms).
const defaultFreshness = 5 * 60_000
const minFreshness = 60_000
const maxFreshness = 60 * 60_000

// A flood of tokens with unknown keys must not cause a flood of requests. After a successful read of the JWKS, the
// next read is at least rereadInterval later. After a failed read, it is a backoff later.
const rereadInterval = 10_000
const firstBackoff = 1_000
const lastBackoff = 30_000

/**
 * How long the last keys are used while the issuer can't be reached. Even an attacker who blocks the network can't
 * keep a retired key in use for longer.
 */
const maxOutage = 24 * 60 * 60_000

/** A key, and the only algorithm that is accepted for it. */
export interface Key {
  alg: string
  key: CryptoKey | Uint8Array
}

/** The keys of one JWKS, by `kid`. A new object means that the document has changed. */
export type KeySet = ReadonlyMap<string, Key>

/** Caches the issuer's keys. It reads them again before they become stale, and for unknown key ids. */
export class Keys {
  private set: KeySet | undefined
  private document = ""
  private readonly shared: boolean

  private reading: Promise<void> | undefined
  private failure: unknown
  private nextReadAllowedAt = -Infinity
  private backoff = 0
  private lastSuccess = monotonic()
  private timer: NodeJS.Timeout | undefined

  constructor(
    private readonly issuer: Issuer,
    secret: Uint8Array | undefined,
    private readonly closed: AbortSignal,
    private readonly warn: (message: string, error: unknown) => void,
  ) {
    if (secret && secret.length < minSecret) {
      throw new RangeError(`signingSecret has ${secret.length} bytes: write at least ${minSecret}`)
    }
    this.shared = secret !== undefined
    if (secret) this.set = new Map([["shared", { alg: "HS256", key: Uint8Array.from(secret) }]])
    closed.addEventListener("abort", () => clearTimeout(this.timer))
  }

  /** Returns the cached keys. It waits for the network only if no JWKS has been read yet. */
  currentKeys(): KeySet | Promise<KeySet> {
    return this.set ?? this.rereadUnlessRecent()
  }

  /** Reads the JWKS again, unless it was read recently, and returns the keys. Throws if the last read failed. */
  async rereadUnlessRecent(): Promise<KeySet> {
    if (!this.shared && monotonic() >= this.nextReadAllowedAt) await this.readShared()
    if (this.failure !== undefined || !this.set) throw unavailable(this.failure)
    return this.set
  }

  /** Concurrent callers share one read, which schedules the next one. It never rejects. */
  private readShared(): Promise<void> {
    clearTimeout(this.timer)
    this.reading ??= this.readOnce().finally(() => (this.reading = undefined))
    return this.reading
  }

  private async readOnce(): Promise<void> {
    const began = monotonic()
    let next: number
    try {
      const freshness = await this.fetchKeys()
      ;[this.failure, this.backoff, this.lastSuccess] = [undefined, 0, monotonic()]
      this.nextReadAllowedAt = began + rereadInterval
      next = began + (freshness * 3) / 4
    } catch (error) {
      this.failure = error
      if (monotonic() - this.lastSuccess > maxOutage) this.set = undefined
      this.backoff = Math.min(Math.max(2 * this.backoff, firstBackoff), lastBackoff)
      next = this.nextReadAllowedAt = monotonic() + this.backoff
      const message = "can't read the issuer's keys; the last keys stay in use for up to 24 h"
      if (!this.closed.aborted) this.warn(message, error)
    }
    if (this.closed.aborted) return
    this.timer = setTimeout(() => void this.readShared(), next - monotonic())
    this.timer.unref()
  }

  /**
   * Fetches the JWKS, and returns how long it stays fresh. A key that is missing from a valid JWKS was retired, so
   * the new keys replace all earlier ones.
   */
  private async fetchKeys(): Promise<number> {
    const { jwks } = await this.issuer.metadata()
    const { body, headers } = await this.issuer.fetchDocument(jwks, maxJwks).catch((error: unknown) => {
      this.issuer.invalidateMetadata()
      throw error
    })
    if (!this.set || body !== this.document) {
      const found = await parseJwks(body, jwks)
      if (found.size === 0) throw new Error(`${jwks} has no usable key; for an issuer with HS256, set signingSecret`)
      ;[this.set, this.document] = [found, body]
    }
    return cacheLifetime(headers.get("cache-control") ?? "")
  }
}

/**
 * Returns the keys that verify access tokens. It omits private keys, because they are compromised. It also omits
 * ambiguous keys: keys without `kid` or `alg`, for encryption, or with a `kid` that occurs twice.
 */
async function parseJwks(document: string, address: string): Promise<KeySet> {
  const { keys } = parseObject(document, address)
  if (!Array.isArray(keys)) throw new Error(`${address} is not a JWKS`)
  if (keys.length > maxKeys) throw new Error(`${address} has ${keys.length} keys: ${maxKeys} are read`)
  const jwks = keys.filter((key): key is JWK => typeof key === "object" && key !== null)
  const found = new Map<string, Key>()
  for (const jwk of jwks) {
    const isUnique = jwks.filter(({ kid }) => kid === jwk.kid).length === 1
    const alg = algorithmOf(jwk)
    if (!isUnique || !alg || !jwk.kid || typeof jwk.kid !== "string" || (jwk.use ?? "sig") !== "sig") continue
    const { kty, crv, x, y, n, e } = jwk
    const key = await importJWK({ kty, crv, x, y, n, e } as JWK, alg).catch(() => undefined)
    if (key) found.set(jwk.kid, { alg, key })
  }
  return found
}

/** Returns the only `alg` that is accepted for a public key, or undefined. */
function algorithmOf({ kty, crv, alg, d, n }: JWK): string | undefined {
  const bits = 8 * Buffer.from(n ?? "", "base64url").length
  const found =
    kty === "EC" && crv === "P-256"
      ? "ES256"
      : kty === "OKP" && crv === "Ed25519"
        ? "EdDSA"
        : kty === "RSA" && bits >= 2048 && bits <= 8192
          ? "RS256"
          : undefined
  return d === undefined && alg === found ? found : undefined
}

/** In ms, from Cache-Control (RFC 9111, section 5.2.2.1). */
function cacheLifetime(cacheControl: string): number {
  if (/\bno-(store|cache)\b/i.test(cacheControl)) return minFreshness
  const seconds = /\bmax-age="?(\d{1,9})\b/i.exec(cacheControl)?.[1]
  const fresh = seconds === undefined ? defaultFreshness : Number(seconds) * 1000
  return Math.min(Math.max(fresh, minFreshness), maxFreshness)
}
