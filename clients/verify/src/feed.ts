// Follows the revocation feed (docs/revocation.md of Watchword). The network may cut connections, and repeat, reorder
// or forge events. Every event is therefore verified, and a repeated event has no effect. An event that can't be
// verified ends the connection, so that no event is skipped. A heartbeat is signed, so a recent heartbeat proves that
// the feed is up to date.
import { eventType, readEvent, type FeedEvent } from "./event.js"
import { parseObject, StatusError, type Issuer, type Metadata } from "./issuer.js"
import { hasValidSignature, parse } from "./jws.js"
import type { Keys } from "./keys.js"
import type { Revocations } from "./revocations.js"
import { monotonic, sleep } from "./sleep.js"

const streamSilence = 7_000 // ms without a heartbeat or a new event; three heartbeats are then missing
const streamTries = 3 // consecutive failures after which the feed is polled for streamRest
const streamRest = 30_000
const pollEvery = 2_000
const firstPause = 100
const lastPause = 5_000
const maxLine = 16 << 10 // characters
const maxPage = 4 << 20 // bytes
const cleanupInterval = 60_000

export interface FeedOptions {
  issuer: Issuer
  keys: Keys
  revocations: Revocations
  audience: string
  leeway: number // seconds
  closed: AbortSignal
  now: () => number // ms since 1970
  warn: (message: string, error: unknown) => void
}

export class Feed {
  // Events may arrive in any order, so the largest number does not prove that all smaller numbers have arrived. A
  // heartbeat proves that. Therefore cursor becomes largest only after a heartbeat.
  private largest = 0 // the largest number received
  private cursor = 0 // all events up to it were received; reading resumes after it
  private lastCleanup = monotonic()
  private signer = "" // the `iss` that events must carry: the issuer in the metadata

  private failed = 0 // failed rounds in a row
  private cut = 0 // streams in a row that were cut early
  private silent = 0 // streams in a row without a heartbeat
  private streamAt = -Infinity // the earliest time of the next stream

  constructor(private readonly options: FeedOptions) {}

  /**
   * Follows the stream until the verifier is closed. It polls while the stream is unavailable. It also polls after a
   * stream without a heartbeat, because polling makes progress even if connections are short.
   */
  async run(): Promise<void> {
    while (!this.options.closed.aborted) {
      const errors: unknown[] = []
      let about: Metadata | undefined
      try {
        about = await this.options.issuer.metadata()
        this.signer = about.issuer
      } catch (error) {
        errors.push(error)
      }
      if (about && (await this.tryStream(about, errors))) await this.pause(Math.min(this.cut, 3))
      else if (about && (await this.tryPoll(about, errors))) await sleep(pollEvery, this.options.closed)
      else await this.fail(errors)
    }
  }

  private async tryStream({ stream }: Metadata, errors: unknown[]): Promise<boolean> {
    if (!stream || monotonic() < this.streamAt) return false
    const began = monotonic()
    const { current, error } = await this.stream(stream)
    if (!current) {
      if (error) errors.push(error)
      if (++this.silent >= streamTries) this.streamAt = monotonic() + streamRest
      return false
    }
    this.cut = monotonic() - began > streamSilence ? 0 : this.cut + 1
    this.failed = this.silent = 0
    return true
  }

  private async tryPoll({ feed }: Metadata, errors: unknown[]): Promise<boolean> {
    if (!feed) return false
    try {
      await this.poll(feed)
      this.failed = 0
      return true
    } catch (error) {
      errors.push(error)
      return false
    }
  }

  private async fail(errors: unknown[]): Promise<void> {
    const { issuer, closed, warn } = this.options
    if (errors.length > 0)
      issuer.invalidate() // the endpoints may have moved
    else errors.push(new Error("the issuer's metadata names no revocation feed"))
    if (this.failed === 0 && !closed.aborted) warn("can't read the revocation feed", errors.at(-1))
    this.streamAt = -Infinity // polling failed too, so the next round tries the stream again
    this.silent = 0
    await this.pause(++this.failed)
  }

  /** Waits longer with each failure. The random part spreads verifiers that were disconnected together. */
  private pause(times: number): Promise<void> {
    const longest = Math.min(firstPause * 2 ** times, lastPause)
    return sleep(longest * (0.5 + Math.random() / 2), this.options.closed)
  }

  /** Reads the stream until it ends. The result `current` reports whether a heartbeat arrived. */
  private async stream(address: string): Promise<{ current: boolean; error?: unknown }> {
    const silence = new AbortController()
    const end = (): void => silence.abort(new Error("the stream is silent"))
    const restart = (): NodeJS.Timeout => setTimeout(end, streamSilence)
    let timer = restart()
    let newest = 0 // the largest number in this stream
    let current = false
    try {
      const signal = AbortSignal.any([this.options.closed, silence.signal])
      const headers = { Accept: "text/event-stream", "Last-Event-ID": String(this.cursor) }
      const response = await this.options.issuer.open(address, headers, signal)
      if (!/^text\/event-stream\b/i.test(response.headers.get("content-type") ?? "")) {
        await response.body?.cancel()
        throw new StatusError(`${address} responds without a stream`)
      }
      for await (const line of linesOf(response)) {
        if (!line.startsWith("data:")) continue // the other lines only repeat what the token contains
        const event = await this.verify(line.slice("data:".length).trim())
        this.take(event)
        // A heartbeat restarts the timer, because the method take has checked that it is recent. Any other event may
        // be replayed, so it restarts the timer only if its number is higher. If many sessions end at once, many such
        // events precede the heartbeat, and the stream is not silent.
        if (event.kind === "heartbeat") current = true
        else if (event.number > newest) newest = event.number
        else continue
        clearTimeout(timer)
        timer = restart()
      }
      return { current }
    } catch (error) {
      return { current, error }
    } finally {
      clearTimeout(timer)
      silence.abort() // closes the connection after an event that can't be verified
    }
  }

  /** Reads the feed page by page to its end. */
  private async poll(feed: string): Promise<void> {
    const address = new URL(feed)
    for (let after: number | undefined = this.cursor; after !== undefined;) {
      address.searchParams.set("after", String(after))
      const { body } = await this.options.issuer.get(address.href, maxPage)
      const next = await this.takePage(parseObject(body, feed))
      if (next === after) throw new Error("the revocation feed names the same page as the next")
      after = next
    }
  }

  /**
   * Processes the events of a page, and its heartbeat last. It returns the cursor of the next page, or undefined
   * after the last page.
   */
  private async takePage(page: Record<string, unknown>): Promise<number | undefined> {
    let heartbeat: FeedEvent | undefined
    for (const token of Object.values((page.sets ?? {}) as object)) {
      const event = await this.verify(String(token))
      if (event.kind === "heartbeat") heartbeat = event
      else this.record(event)
    }
    if (page.moreAvailable === true) {
      if (Number.isSafeInteger(page.next) && (page.next as number) > 0) return page.next as number
      throw new Error("the revocation feed does not name its next page")
    }
    if (!heartbeat) throw new Error("the revocation feed ends without a heartbeat")
    this.take(heartbeat)
    return undefined
  }

  /** Returns the event in a token. It reads the JWKS again if the token's key is unknown. */
  private async verify(token: string): Promise<FeedEvent> {
    const { keys, audience } = this.options
    const parsed = parse(token, eventType)
    if (parsed) {
      const key = (await keys.current()).get(parsed.kid) ?? (await keys.reread()).get(parsed.kid)
      const isValid = key !== undefined && (await hasValidSignature(parsed, key))
      const event = isValid ? readEvent(parsed.payload, this.signer, audience) : undefined
      if (event) return event
    }
    throw new Error("the revocation feed has an event that is not valid")
  }

  private record(event: Exclude<FeedEvent, { kind: "heartbeat" }>): void {
    const { revocations } = this.options
    this.largest = Math.max(this.largest, event.number)
    if (event.kind === "ended") revocations.endSession(event.session, monotonic())
    if (event.kind === "changed") revocations.changeClaims(event.user, event.before, monotonic())
  }

  private take(event: FeedEvent): void {
    if (event.kind !== "heartbeat") return this.record(event)
    const { leeway, now, revocations } = this.options
    const late = now() / 1000 - event.issuedAt - leeway - 1 // in seconds; 1 less, because `iat` has no fractions
    if (late * 1000 > streamSilence || -late > 2 * leeway + 1) {
      const time = new Date(event.issuedAt * 1000).toISOString()
      throw new Error(`the heartbeat of ${time} is replayed, or a clock is wrong`)
    }
    if (event.head < this.cursor) this.largest = event.head // the store was restored from a backup: the feed restarted
    this.cursor = this.largest
    revocations.markCurrent(monotonic() - Math.max(late, 0) * 1000)
    this.cleanUp()
  }

  /** Deletes expired revocations once a minute. After an overflow it throws, so that the feed is read again. */
  private cleanUp(): void {
    const { revocations } = this.options
    const now = monotonic()
    if (now - this.lastCleanup < cleanupInterval) return
    this.lastCleanup = now
    revocations.deleteExpired(now)
    if (revocations.takeOverflow()) {
      this.largest = this.cursor = 0
      throw new Error("more revocations than fit into memory: the feed is read from its beginning")
    }
  }
}

/** Yields the lines of a response. A line that is longer than any event ends the stream with an error. */
async function* linesOf(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ""
  for await (const chunk of response.body ?? []) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split(/\r?\n/)
    rest = lines.pop() ?? ""
    yield* lines
    if (rest.length > maxLine) throw new Error(`the stream has a line of more than ${maxLine} characters`)
  }
}
