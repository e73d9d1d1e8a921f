import { monotonic } from "./sleep.js"

const fetchTimeout = 5_000 // ms
const metadataMaxAge = 60 * 60_000
const maxMetadata = 64 << 10 // bytes

/** The members of the issuer's metadata (RFC 8414, section 2) that the verifier uses. */
export interface Metadata {
  /** The `iss` of the feed's events. */
  issuer: string
  jwks: string
  feed: string | undefined
  stream: string | undefined
}

/** A response whose status is not 200. */
export class StatusError extends Error {
  override readonly name = "StatusError"
}

/**
 * Reads documents from the issuer's server. The metadata is read only from the configured address, and must name the
 * configured issuer. A token therefore can't direct the verifier to another server. If the configured issuer is a
 * name and not a URL (`isNamed`), the `iss` in the metadata differs from the `iss` of access tokens. In that case,
 * the shared secret proves that tokens and feed are genuine.
 */
export class Issuer {
  private cached: { metadata: Metadata; at: number } | undefined

  constructor(
    readonly name: string,
    private readonly isNamed: boolean, // if true, the metadata can name a different issuer
    private readonly from: string | undefined,
    private readonly send: typeof fetch,
    private readonly closed: AbortSignal,
  ) {}

  /** Returns the metadata, at most an hour old. */
  async metadata(): Promise<Metadata> {
    if (this.cached && monotonic() - this.cached.at < metadataMaxAge) return this.cached.metadata
    let failure: unknown
    for (const address of metadataUrls(this.isNamed && this.from ? this.from : this.name)) {
      try {
        const metadata = await this.readMetadata(this.fetchUrl(address))
        this.cached = { metadata, at: monotonic() }
        return metadata
      } catch (error) {
        failure = error
        if (!(error instanceof StatusError)) break // the host is unreachable, and the next address has the same host
      }
    }
    throw failure
  }

  /**
   * Makes the next call of metadata read it again. Callers use it after an endpoint failed, because the endpoint may
   * have moved.
   */
  invalidateMetadata(): void {
    this.cached = undefined
  }

  private async readMetadata(address: string): Promise<Metadata> {
    const { body } = await this.fetchDocument(address, maxMetadata)
    const found = parseObject(body, address)
    const { issuer } = found
    if (typeof issuer !== "string" || (issuer !== this.name && !this.isNamed))
      throw new Error(`${address} is the metadata of another issuer, not of ${this.name}`)
    checkIssuer(issuer)
    const endpoint = (name: string): string | undefined => {
      const value = found[name]
      if (typeof value !== "string" || value === "") return undefined
      return this.fetchUrl(checkedEndpoint(value, issuer, address))
    }
    const jwks = endpoint("jwks_uri")
    if (!jwks) throw new Error(`${address} names no jwks_uri`)
    const [feed, stream] = [endpoint("revocation_feed_endpoint"), endpoint("revocation_stream_endpoint")]
    return { issuer, jwks, feed, stream }
  }

  /** If `fetchFrom` is set, it replaces the scheme and host of the address. */
  private fetchUrl(address: string): string {
    if (!this.from) return address
    const { pathname, search } = new URL(address)
    return this.from + pathname + search
  }

  /** Follows no redirects. Aborting the signal ends the response. */
  async fetchResponse(address: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const response = await this.send(address, { headers, redirect: "manual", signal })
    if (response.status === 200) return response
    await response.body?.cancel()
    throw new StatusError(`${address} responds ${response.status}`)
  }

  /** Fetches a document of at most limit bytes within 5 s. It fails for any status but 200. */
  async fetchDocument(address: string, limit: number): Promise<{ body: string; headers: Headers }> {
    const timeout = new AbortController()
    const timer = setTimeout(() => timeout.abort(new Error(`${address} did not respond within 5 s`)), fetchTimeout)
    try {
      const signal = AbortSignal.any([this.closed, timeout.signal])
      const response = await this.fetchResponse(address, { Accept: "application/json" }, signal)
      return { body: await readText(response, limit, address), headers: response.headers }
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Rejects an endpoint whose responses could be forged on the network. */
function checkedEndpoint(endpoint: string, issuer: string, address: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  const isLocal = url?.protocol === "http:" && isLoopback(url.hostname) && issuer.startsWith("http:")
  if (!url || url.username !== "" || (url.protocol !== "https:" && !isLocal)) {
    throw new Error(`${address}: the endpoint ${endpoint} is not an https URL`)
  }
  return endpoint
}

async function readText(response: Response, limit: number, address: string): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk as Uint8Array)
    size += (chunk as Uint8Array).length
    if (size > limit) throw new Error(`the response of ${address} is larger than ${limit} bytes`)
  }
  return Buffer.concat(chunks).toString("utf8")
}

export function parseObject(body: string, address: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>
  } catch {
    // The text is not JSON: throw the error below.
  }
  throw new Error(`the response of ${address} is not a JSON object`)
}

/** Returns the addresses of OpenID Connect Discovery 1.0 (section 4) and of RFC 8414 (section 3). */
function metadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, "")
  const known = `${origin}/.well-known/oauth-authorization-server${path}`
  return [`${origin}${path}/.well-known/openid-configuration`, known]
}

/** Throws unless name is an issuer URL with TLS. Plain http is allowed only on loopback. */
export function checkIssuer(name: string): void {
  const url = URL.canParse(name) ? new URL(name) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "" || /[?#]/.test(name)) {
    const shown = name.includes("@") ? "this" : JSON.stringify(name) // it may contain a password
    throw new TypeError(
      `${shown} is not an issuer URL: write the "iss" of its tokens, such as https://id.example.com; ` +
        "another name needs signingSecret, fetchFrom and audience",
    )
  }
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    throw new TypeError(`${name} has no TLS, so its responses could be forged on the network: write https`)
  }
}

/** Reports whether an issuer name that is not the server's URL is valid: printable ASCII, without quotes. */
export function isIssuerName(name: string): boolean {
  return /^[ -~]{1,128}$/.test(name) && name.trim() === name && !/["\\]/.test(name)
}

export function hasOnlySchemeAndHost(address: string): boolean {
  return /^https?:\/\//.test(address) && URL.canParse(address) && new URL(address).origin === address
}

function isLoopback(host: string): boolean {
  const name = host.replace(/\.$/, "")
  return /^([a-z0-9-]+\.)*localhost$|^127\.\d+\.\d+\.\d+$|^\[::(1|ffff:7f[0-9a-f]{2}:[0-9a-f]+)\]$/.test(name)
}
