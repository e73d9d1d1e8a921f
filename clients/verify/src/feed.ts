// Follows the revocation feed (docs/revocation.md of Watchword). The network may cut connections, and repeat, reorder
// or forge events. Every event is therefore verified, and a repeated event has no effect. An event that can't be
// verified ends the connection, so that no event is skipped. A heartbeat is signed, so a recent heartbeat proves that
// the feed is up to date.
import { eventType, readEvent, type FeedEvent } from "./event.js"
import { parseObject, StatusError, type Issuer, type Metadata } from "./issuer.js"
import { hasValidSignature, parseJws } from "./jws.js"
import type { Keys } from "./keys.js"
import type { Revocations } from "./revocations.js"
import { monotonic, sleep } from "./sleep.js"

const maxStreamSilence = 7_000 // ms without a heartbeat or a new event; three heartbeats are then missing
const maxSilentStreams = 3 // streams in a row without a heartbeat; then the feed is polled
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
  // heartbeat proves that they have, so it sets cursor to largestNumber.
  private largestNumber = 0 // largest number of all received events
  private cursor = 0 // all events up to this number were received; reading resumes after it
  private lastCleanup = monotonic()
  private eventIssuer = "" // the issuer in the metadata

  private failedRounds = 0 // failures since the last success
  private cutStreams = 0 // in a row
  private silentStreams = 0 // in a row, without a heartbeat
  private nextStreamAt = -Infinity

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
        this.eventIssuer = about.issuer
      } catch (error) {
        errors.push(error)
      }
      if (about && (await this.tryStream(about, errors))) await this.pauseAfterFailures(Math.min(this.cutStreams, 3))
      else if (about && (await this.tryPoll(about, errors))) await sleep(pollEvery, this.options.closed)
      else await this.fail(errors)
    }
  }

  private async tryStream({ stream }: Metadata, errors: unknown[]): Promise<boolean> {
    if (!stream || monotonic() < this.nextStreamAt) return false
    const began = monotonic()
    const { hadHeartbeat, error } = await this.readStream(stream)
    if (!hadHeartbeat) {
      if (error) errors.push(error)
      if (++this.silentStreams >= maxSilentStreams) this.nextStreamAt = monotonic() + streamRest
      return false
    }
    this.cutStreams = monotonic() - began > maxStreamSilence ? 0 : this.cutStreams + 1
    this.failedRounds = this.silentStreams = 0
    return true
  }

  private async tryPoll({ feed }: Metadata, errors: unknown[]): Promise<boolean> {
    if (!feed) return false
    try {
      await this.pollAllPages(feed)
      this.failedRounds = 0
      return true
    } catch (error) {
      errors.push(error)
      return false
    }
  }

  private async fail(errors: unknown[]): Promise<void> {
    const { issuer, closed, warn } = this.options
    if (errors.length > 0)
      issuer.invalidateMetadata() // the endpoints may have moved
    else errors.push(new Error("the issuer's metadata names no revocation feed"))
    if (this.failedRounds === 0 && !closed.aborted) warn("can't read the revocation feed", errors.at(-1))
    this.nextStreamAt = -Infinity // polling failed too, so the next round tries the stream again
    this.silentStreams = 0
    await this.pauseAfterFailures(++this.failedRounds)
  }

  /** The wait grows with each failure. The random part spreads verifiers that were disconnected together. */
  private pauseAfterFailures(failures: number): Promise<void> {
    const longest = Math.min(firstPause * 2 ** failures, lastPause)
    return sleep(longest * (0.5 + Math.random() / 2), this.options.closed)
  }

  private async readStream(address: string): Promise<{ hadHeartbeat: boolean; error?: unknown }> {
    const silence = new AbortController()
    const end = (): void => silence.abort(new Error("the stream is silent"))
    const restart = (): NodeJS.Timeout => setTimeout(end, maxStreamSilence)
    let timer = restart()
    let newestNumber = 0
    let hadHeartbeat = false
    try {
      const signal = AbortSignal.any([this.options.closed, silence.signal])
      const headers = { Accept: "text/event-stream", "Last-Event-ID": String(this.cursor) }
      const response = await this.options.issuer.fetchResponse(address, headers, signal)
      if (!/^text\/event-stream\b/i.test(response.headers.get("content-type") ?? "")) {
        await response.body?.cancel()
        throw new StatusError(`${address} responds without a stream`)
      }
      for await (const line of linesOf(response)) {
        if (!line.startsWith("data:")) continue // the fields id and event only repeat values of the token
        const event = await this.verifyEvent(line.slice("data:".length).trim())
        this.processEvent(event)
        // A heartbeat restarts the timer, because processEvent has checked that it is recent. Any other event may be
        // replayed, so it restarts the timer only if its number is higher. If many sessions end at once, many such
        // events precede the heartbeat, and the stream is not silent.
        if (event.kind === "heartbeat") hadHeartbeat = true
        else if (event.number > newestNumber) newestNumber = event.number
        else continue
        clearTimeout(timer)
        timer = restart()
      }
      return { hadHeartbeat }
    } catch (error) {
      return { hadHeartbeat, error }
    } finally {
      clearTimeout(timer)
      silence.abort() // closes the connection after an event that can't be verified
    }
  }

  private async pollAllPages(feed: string): Promise<void> {
    const address = new URL(feed)
    for (let after: number | undefined = this.cursor; after !== undefined;) {
      address.searchParams.set("after", String(after))
      const { body } = await this.options.issuer.fetchDocument(address.href, maxPage)
      const next = await this.processPage(parseObject(body, feed))
      if (next === after) throw new Error("the revocation feed names the same page as the next")
      after = next
    }
  }

  /**
   * Records the events of a page. On the last page, it then processes the heartbeat. Returns the cursor of the next
   * page, or undefined after the last page.
   */
  private async processPage(page: Record<string, unknown>): Promise<number | undefined> {
    let heartbeat: FeedEvent | undefined
    for (const token of Object.values((page.sets ?? {}) as object)) {
      const event = await this.verifyEvent(String(token))
      if (event.kind === "heartbeat") heartbeat = event
      else this.record(event)
    }
    if (page.moreAvailable === true) {
      if (Number.isSafeInteger(page.next) && (page.next as number) > 0) return page.next as number
      throw new Error("the revocation feed does not name its next page")
    }
    if (!heartbeat) throw new Error("the revocation feed ends without a heartbeat")
    this.processEvent(heartbeat)
    return undefined
  }

  /** Reads the JWKS again if the token's key is unknown. */
  private async verifyEvent(token: string): Promise<FeedEvent> {
    const { keys, audience } = this.options
    const parsed = parseJws(token, eventType)
    if (parsed) {
      const key = (await keys.currentKeys()).get(parsed.kid) ?? (await keys.rereadUnlessRecent()).get(parsed.kid)
      const isValid = key !== undefined && (await hasValidSignature(parsed, key))
      const event = isValid ? readEvent(parsed.payload, this.eventIssuer, audience) : undefined
      if (event) return event
    }
    throw new Error("the revocation feed has an event that is not valid")
  }

  private record(event: Exclude<FeedEvent, { kind: "heartbeat" }>): void {
    const { revocations } = this.options
    this.largestNumber = Math.max(this.largestNumber, event.number)
    if (event.kind === "ended") revocations.endSession(event.session, monotonic())
    if (event.kind === "changed") revocations.recordRoleChange(event.user, event.before, monotonic())
  }

  private processEvent(event: FeedEvent): void {
    if (event.kind !== "heartbeat") return this.record(event)
    const { leeway, now, revocations } = this.options
    const late = now() / 1000 - event.issuedAt - leeway - 1 // seconds, less 1 s because `iat` has no fractions
    if (late * 1000 > maxStreamSilence || -late > 2 * leeway + 1) {
      const time = new Date(event.issuedAt * 1000).toISOString()
      throw new Error(`the heartbeat of ${time} is replayed, or a clock is wrong`)
    }
    if (event.head < this.cursor) this.largestNumber = event.head // a restored backup has lower numbers
    this.cursor = this.largestNumber
    revocations.markComplete(monotonic() - Math.max(late, 0) * 1000)
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
      this.largestNumber = this.cursor = 0
      throw new Error("more revocations than fit into memory: the feed is read from its beginning")
    }
  }
}

/** A line that is longer than any event ends the stream with an error. */
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
