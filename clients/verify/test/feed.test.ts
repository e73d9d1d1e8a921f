// Tests of a network that cuts the feed, and repeats, reorders or forges events.
import { expect, test } from "vitest"
import { Revocations } from "../src/revocations.js"
import { Identity, type VerifierOptions } from "../src/index.js"
import { advance, rejection, FakeIssuer, newKey, nowSeconds, settle, signText, useFakeClock } from "./issuer.js"

const key = await newKey()

async function followed(options: VerifierOptions = {}) {
  useFakeClock()
  const issuer = new FakeIssuer(key)
  const verifier = issuer.verifier(options)
  await rejection(verifier, await issuer.token({ sid: "first" }))
  return { issuer, verifier, code: async (sid: string) => rejection(verifier, await issuer.token({ sid })) }
}

test("repeated and reordered events are processed, and only a heartbeat moves the cursor", async () => {
  const { issuer, code } = await followed()
  const first = await issuer.stream(1)
  expect(first.after).toBe("0")
  first.send(await issuer.sessionEnd(3, "s3"), await issuer.sessionEnd(1, "s1"), await issuer.sessionEnd(1, "s1"))
  await settle()
  expect([await code("s1"), await code("s2"), await code("s3")]).toEqual(["SESSION_ENDED", "", "SESSION_ENDED"])
  first.cut() // event 2 was not delivered yet

  const second = await issuer.stream(2)
  expect(second.after).toBe("0")
  second.send(await issuer.sessionEnd(2, "s2"), await issuer.heartbeat(3))
  await settle()
  expect(await code("s2")).toBe("SESSION_ENDED")
  second.cut()

  const third = await issuer.stream(3)
  expect(third.after).toBe("3")
  third.send(await issuer.sessionEnd(5, "s5"), await issuer.heartbeat(4)) // the heartbeat does not cover event 5
  await settle()
  third.cut()
  expect((await issuer.stream(4)).after).toBe("5")
}, 20_000)

test("a role change rejects older tokens only", async () => {
  const { issuer, verifier } = await followed()
  const old = await issuer.token()
  await advance(1_000)
  ;(await issuer.stream(1)).send(await issuer.claimsChange(1, "ada"))
  await settle()
  expect(await rejection(verifier, old)).toBe("TOKEN_EXPIRED")
  expect(await rejection(verifier, await issuer.token())).toBe("")
  expect(await rejection(verifier, await issuer.token({ sub: "bob", iat: nowSeconds() - 1 }))).toBe("")
})

test("an event of an unknown kind is skipped", async () => {
  const { issuer, code } = await followed()
  const stream = await issuer.stream(1)
  const unknown = await issuer.event("example/new", {}, { number: 7, sub_id: { format: "opaque", id: "s1" } })
  stream.send(unknown, await issuer.sessionEnd(8, "s2"), await issuer.heartbeat(8))
  await settle()
  expect([await code("s1"), await code("s2")]).toEqual(["", "SESSION_ENDED"])
  stream.cut()
  expect((await issuer.stream(2)).after).toBe("8")
})

const stranger = await newKey("ES256", "k1")

test.each<[string, (issuer: FakeIssuer) => Promise<string> | string]>([
  [
    "signed by another key",
    (issuer) => Object.assign(new FakeIssuer(stranger), { url: issuer.url }).sessionEnd(1, "s1"),
  ],
  ["of another issuer", (issuer) => issuer.sessionEnd(1, "s1", { iss: "https://evil.example" })],
  ["for another audience", (issuer) => issuer.sessionEnd(1, "s1", { aud: "https://other.example" })],
  ["without a number", (issuer) => issuer.sessionEnd(1, "s1", { number: undefined })],
  ["with a sub", (issuer) => issuer.sessionEnd(1, "s1", { sub: "ada" })],
  ["without events", (issuer) => issuer.sessionEnd(1, "s1", { events: {} })],
  ["that is an access token", (issuer) => issuer.token({ sid: "s1" })],
  ["that is unsigned", async (issuer) => (await issuer.sessionEnd(1, "s1")).replace(/\.[^.]*$/, ".")],
  ["that is empty", () => ""],
  ["of 1 MiB without a line break", () => "a".repeat(1 << 20)],
])("an event %s ends the stream, and the next stream is read from the same place", async (_, forge) => {
  const { issuer, code } = await followed()
  ;(await issuer.stream(1)).send(await forge(issuer))
  await settle()
  expect(await code("s1")).toBe("")
  const next = await issuer.stream(2)
  expect(next.after).toBe("0")
  next.send(await issuer.sessionEnd(1, "s9"))
  await settle()
  expect([await code("s9"), await code("s1")]).toEqual(["SESSION_ENDED", ""])
})

test("an event is rejected as an access token", async () => {
  const { issuer, verifier } = await followed()
  expect(await rejection(verifier, await issuer.sessionEnd(1, "s1"))).toBe("TOKEN_INVALID")
  const renamed = await signText(key, { typ: "secevent+jwt" }, JSON.stringify(issuer.claims()))
  expect(await rejection(verifier, renamed)).toBe("TOKEN_INVALID")
})

test("with onStale closed, tokens are rejected until a heartbeat arrives and after the feed falls silent", async () => {
  const { issuer, verifier, code } = await followed({ onStale: "closed" })
  expect(await code("s1")).toBe("TRY_LATER")
  const ready = verifier.ready()
  ;(await issuer.stream(1)).send(await issuer.heartbeat(0))
  await settle() // The heartbeat must be processed before the clock advances, because ready polls with this clock.
  await advance(100)
  await expect(ready).resolves.toBeUndefined()
  expect(await code("s1")).toBe("")
  issuer.isDown = true
  await advance(9_000)
  expect(await code("s1")).toBe("")
  await advance(3_000)
  expect(await code("s1")).toBe("TRY_LATER")
})

test("with onStale open, tokens are accepted while the feed is silent", async () => {
  const { issuer, code } = await followed()
  issuer.isDown = true
  await advance(30_000)
  expect(await code("s1")).toBe("")
})

test("a replayed heartbeat does not count", async () => {
  const { issuer, code } = await followed({ onStale: "closed" })
  const old = await issuer.heartbeat(0)
  const stream = await issuer.stream(1)
  stream.send(old)
  await settle()
  expect(await code("s1")).toBe("")
  for (let second = 0; second < 20; second++) {
    const open = issuer.streams.at(-1)
    if (open && !open.ended) open.send(old)
    await advance(1_000)
  }
  expect(await code("s1")).toBe("TRY_LATER")
}, 20_000)

test("a stream of new events without a heartbeat stays open", async () => {
  const { issuer, code } = await followed({ onStale: "closed" })
  const stream = await issuer.stream(1)
  for (let number = 1; number <= 20; number++) {
    if (!stream.ended) stream.send(await issuer.sessionEnd(number, `s${number}`))
    await settle()
    await advance(1_000)
  }
  expect(stream.ended).toBe(false)
  stream.send(await issuer.heartbeat(20))
  await settle()
  expect([await code("s20"), await code("s21")]).toEqual(["SESSION_ENDED", ""])
}, 20_000)

test("a stream that repeats old events without a heartbeat is replaced by polling", async () => {
  const { issuer, code } = await followed({ onStale: "closed" })
  const pages = [[await issuer.sessionEnd(1, "s1")], [await issuer.sessionEnd(2, "s2")]]
  const stream = await issuer.stream(1)
  for (let second = 0; second < 9; second++) {
    if (!stream.ended) stream.send(await issuer.sessionEnd(1, "s1"))
    const heartbeat = await issuer.heartbeat(2)
    issuer.page = (after) =>
      after === "0" ? { sets: pages[0]!, more: true, next: 1 } : { sets: [...pages[1]!, heartbeat] }
    await settle()
    await advance(1_000)
  }
  expect([await code("s2"), await code("s3")]).toEqual(["SESSION_ENDED", ""])
  expect((await issuer.stream(2)).after).toBe("2")
}, 20_000)

test("while there is no stream, the feed is polled page by page", async () => {
  useFakeClock()
  const issuer = new FakeIssuer(key)
  issuer.hasStream = false
  const pages: Record<string, () => Promise<string[]>> = {
    "0": async () => [await issuer.sessionEnd(1, "s1")],
    "1": async () => [await issuer.sessionEnd(2, "s2"), await issuer.heartbeat(2)],
  }
  let ready: Record<string, string[]> = {}
  issuer.page = (after) => ({ sets: ready[after] ?? [], more: after === "0", next: 1 })
  ready = { "0": await pages["0"]!(), "1": await pages["1"]!() }
  const verifier = issuer.verifier({ onStale: "closed" })
  await rejection(verifier, await issuer.token())
  await advance(500)
  expect(issuer.polls.slice(0, 2)).toEqual(["0", "1"])
  const code = async (sid: string): Promise<string> => rejection(verifier, await issuer.token({ sid }))
  expect([await code("s1"), await code("s2"), await code("s3")]).toEqual(["SESSION_ENDED", "SESSION_ENDED", ""])
  ready = { "2": [await issuer.sessionEnd(3, "s3"), await issuer.heartbeat(3)] }
  await advance(2_500)
  expect(issuer.polls.at(-1)).toBe("2")
  expect(await code("s3")).toBe("SESSION_ENDED")
})

test("a page without a heartbeat, or that names itself as the next, is an error", async () => {
  for (const page of [{ sets: [] }, { sets: [], more: true, next: 0 }, { sets: [], more: true }]) {
    useFakeClock()
    const issuer = new FakeIssuer(key)
    issuer.hasStream = false
    issuer.page = () => page
    const warnings: string[] = []
    const verifier = issuer.verifier({ onStale: "closed", warn: (_, error) => void warnings.push(String(error)) })
    await rejection(verifier, await issuer.token())
    await advance(500)
    expect(warnings.join()).toMatch(/heartbeat|next page|same page/)
  }
})

test("a feed that restarted is read from its new beginning", async () => {
  const { issuer, code } = await followed()
  const stream = await issuer.stream(1)
  stream.send(await issuer.sessionEnd(9, "s9"), await issuer.heartbeat(9), await issuer.heartbeat(2))
  await settle()
  stream.cut()
  expect((await issuer.stream(2)).after).toBe("2")
  expect(await code("s9")).toBe("SESSION_ENDED")
})

test("revocations are bounded, and an overflow makes the feed count as silent", () => {
  const revocations = new Revocations(2)
  const ofSession = (sid: string): Identity => new Identity({ sid, sub: "ada", iat: 1 })
  revocations.endSession("a", 0)
  revocations.endSession("b", 0)
  revocations.markComplete(1)
  revocations.endSession("c", 2)
  revocations.markComplete(3)
  expect(revocations.timeSinceComplete(4)).toBe(3) // the overflow prevented markComplete(3), so time 1 counts
  expect(() => revocations.check(ofSession("a"))).toThrow("ended")
  expect(revocations.takeOverflow()).toBe(false)
  revocations.deleteExpired(65 * 60_000 + 1)
  expect([revocations.takeOverflow(), revocations.takeOverflow()]).toEqual([true, false])
  expect(() => revocations.check(ofSession("a"))).not.toThrow()
})
