import { readFileSync } from "node:fs"
import { importJWK, type JWK } from "jose"
import { expect, test } from "vitest"
import { hasValidSignature } from "../src/jws.js"
import { Identity, Verifier } from "../src/index.js"
import { advance, rejection, FakeIssuer, newKey, nowSeconds, settle, signText, useFakeClock } from "./issuer.js"

const key = await newKey()

test.each(["ES256", "EdDSA", "RS256"])("a token signed with %s gives the identity", async (alg) => {
  const issuer = new FakeIssuer(await newKey(alg))
  const identity = await issuer.verifier().verify(await issuer.token({ email: "ada@example.com" }))
  expect(identity).toMatchObject({
    subject: "ada",
    sessionId: "s1",
    tokenId: "t1",
    roles: ["editor"],
    acr: "aal1",
    amr: ["pwd"],
  })
  expect(identity.claims.email).toBe("ada@example.com")
  expect([identity.hasRole("editor"), identity.hasRole("Editor")]).toEqual([true, false])
  expect(() => (identity.roles as string[]).push("admin")).toThrow(TypeError)
})

test("a shared secret accepts HS256 only", async () => {
  const secret = "a secret that resource servers share"
  const shared = { alg: "HS256", kid: "shared", privateKey: Buffer.from(secret), jwk: {} }
  const issuer = new FakeIssuer(shared)
  expect(await rejection(issuer.verifier({ signingSecret: secret }), await issuer.token())).toBe("")
  expect(issuer.requests).not.toContain("/jwks")
  const other = new FakeIssuer(key)
  expect(await rejection(other.verifier({ signingSecret: secret }), await other.token())).toBe("TOKEN_INVALID")
  // RFC 8725, section 2.1: an attacker signs with the public key as an HMAC secret. The token must be rejected.
  const confused = { ...shared, kid: key.kid, privateKey: Buffer.from(JSON.stringify(key.jwk)) }
  const forged = await signText(confused, { typ: "at+jwt" }, JSON.stringify(other.claims()))
  expect(await rejection(other.verifier(), forged)).toBe("TOKEN_INVALID")
})

test.each([
  ["alg none", { alg: "none" }],
  ["a type of other tokens", { typ: "JWT" }],
  ["the type of an event", { typ: "secevent+jwt" }],
  ["an unknown key", { kid: "k9" }],
  ["crit", { crit: ["exp"], exp: 1 }],
  ["jku", { jku: "https://evil.example" }],
  ["jwk", { jwk: { kty: "oct" } }],
  ["x5u", { x5u: "https://evil.example" }],
  ["zip", { zip: "DEF" }],
])("a header with %s is rejected", async (_, change) => {
  const issuer = new FakeIssuer(key)
  const [, payload, signature] = (await issuer.token()).split(".")
  const header = Buffer.from(JSON.stringify({ alg: "ES256", kid: "k1", typ: "at+jwt", ...change })).toString(
    "base64url",
  )
  expect(await rejection(issuer.verifier(), `${header}.${payload}.${signature}`)).toBe("TOKEN_INVALID")
})

const wrong: [string, unknown[]][] = [
  ["iss", [undefined, "https://evil.example", "https://id.example.com/", 1, ["https://id.example.com"]]],
  ["aud", [undefined, "", "https://evil.example", [], [1], ["a", "b"], {}, 1]],
  ["sub", [undefined, "", 1]],
  ["sid", [undefined, "", 1]],
  ["jti", [undefined, "", 1]],
  ["exp", [undefined, 0, -1, "1795000900", 1.5, 1e400, 2 ** 63, true, nowSeconds() + 25 * 3600]],
  ["iat", [undefined, 0, -1, "1", nowSeconds() + 60, nowSeconds() + 900]],
  ["nbf", [0, -1, "1", nowSeconds() + 60]],
  ["auth_time", [undefined, "1", 0.5]],
  ["roles", [undefined, "admin", [1], {}]],
  ["amr", [undefined, "pwd"]],
  ["acr", [undefined, 1]],
]

test.each(wrong)("a token with a wrong %s is rejected", async (name, values) => {
  const issuer = new FakeIssuer(key)
  const verifier = issuer.verifier()
  for (const value of values) {
    const token = await issuer.token({ [name]: value })
    expect(await rejection(verifier, token), JSON.stringify(value)).toBe("TOKEN_INVALID")
  }
  expect(await rejection(verifier, await issuer.token())).toBe("")
  expect(await rejection(verifier, await issuer.token({ nbf: undefined }))).toBe("")
})

test("a payload that two readers could understand differently is rejected", async () => {
  const issuer = new FakeIssuer(key)
  const verifier = issuer.verifier()
  const good = JSON.stringify(issuer.claims())
  for (const payload of [
    good.replace("{", '{"sub":"eve",'),
    good.replace("{", '{"\\u0073ub":"eve",'),
    good.replace('"sub"', '"Sub"'),
    `${good}{}`,
    '"sub"',
    "[]",
    "null",
  ]) {
    expect(await rejection(verifier, await signText(key, { typ: "at+jwt" }, payload)), payload).toBe("TOKEN_INVALID")
  }
  const spaced = await signText(
    key,
    { typ: "at+jwt" },
    JSON.stringify(issuer.claims({ deep: { sub: 'a "}' } }), null, 2),
  )
  expect(await rejection(verifier, spaced)).toBe("")
})

test("other encodings of a token are rejected", async () => {
  const issuer = new FakeIssuer(key)
  const verifier = issuer.verifier()
  const token = await issuer.token()
  const [head, body, signature] = token.split(".")
  const rejected = [
    "",
    ".",
    "..",
    head,
    `${head}.${body}`,
    `${token}.`,
    `${head}.${body}.`,
    `${token}=`,
    `${token}\n`,
  ]
  const last = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"].map(
    (c) => token.slice(0, -1) + c,
  )
  for (const text of [...rejected, ` ${token}`, `${head}\n.${body}.${signature}`, "a".repeat(1 << 20), ...last]) {
    if (text !== token) expect(await rejection(verifier, text ?? ""), text?.slice(0, 80)).toBe("TOKEN_INVALID")
  }
  expect(await rejection(verifier, token)).toBe("")
})

test("a token expires on the second, also when it is cached", async () => {
  useFakeClock()
  const issuer = new FakeIssuer(key)
  const verifier = issuer.verifier()
  const token = await issuer.token()
  expect(await rejection(verifier, token)).toBe("")
  await advance(899_000, 10_000) // large steps, because many small steps are slow on Node.js 20.19
  expect(await rejection(verifier, token)).toBe("")
  await advance(1_000)
  expect(await rejection(verifier, token)).toBe("TOKEN_EXPIRED")
})

test("a clock that is set back rejects a cached token", async () => {
  const issuer = new FakeIssuer(key)
  let behind = 0
  const verifier = issuer.verifier({ now: () => Date.now() - behind })
  const token = await issuer.token()
  expect(await rejection(verifier, token)).toBe("")
  behind = 4_000
  expect(await rejection(verifier, token)).toBe("")
  behind = 60_000
  expect(await rejection(verifier, token)).toBe("TOKEN_INVALID")
})

test("tokens of a retired key are rejected, cached ones as well", async () => {
  useFakeClock()
  const issuer = new FakeIssuer(key)
  const verifier = issuer.verifier()
  const token = await issuer.token()
  expect(await rejection(verifier, token)).toBe("")
  const next = await newKey("ES256", "k2")
  issuer.jwks = () => ({ keys: [next.jwk] })
  await advance(230_000)
  expect(await rejection(verifier, token)).toBe("TOKEN_INVALID")
  const other = Object.assign(new FakeIssuer(next), { jwks: issuer.jwks })
  expect(await rejection(verifier, await other.token())).toBe("")
})

test("a flood of unknown keys reads the keys once in ten seconds", async () => {
  useFakeClock()
  const issuer = new FakeIssuer(key)
  const verifier = issuer.verifier()
  const next = await newKey("ES256", "k2")
  await rejection(verifier, await issuer.token())
  issuer.jwks = () => ({ keys: [key.jwk, next.jwk] })
  const fresh = await new FakeIssuer(next).token({ exp: nowSeconds() + 1800 })
  await Promise.all(
    Array.from({ length: 50 }, async (_, n) => rejection(verifier, await issuer.token({}, { kid: `x${n}` }))),
  )
  expect(issuer.requests.filter((path) => path === "/jwks")).toHaveLength(1)
  await advance(10_000)
  expect(await rejection(verifier, fresh)).toBe("")
  expect(issuer.requests.filter((path) => path === "/jwks")).toHaveLength(2)
})

test("keys that are ambiguous, private or too weak are not used", async () => {
  const weak = await newKey("RS256", "weak")
  const secret = await newKey("ES256", "private")
  for (const jwks of [
    { keys: [key.jwk, key.jwk] },
    { keys: [{ ...key.jwk, alg: "RS256" }] },
    { keys: [{ ...key.jwk, alg: undefined }] },
    { keys: [{ ...key.jwk, use: "enc" }] },
    { keys: [{ ...secret.jwk, d: "AAAA" }] },
    { keys: [{ ...weak.jwk, n: "AQAB" }] },
    { keys: Array.from({ length: 65 }, (_, n) => ({ ...key.jwk, kid: `k${n}` })) },
    { keys: [] },
    { keys: "none" },
    [],
    "text",
  ]) {
    const issuer = new FakeIssuer(key)
    issuer.jwks = () => jwks
    const text = JSON.stringify(jwks).slice(0, 80)
    expect(await rejection(issuer.verifier(), await issuer.token()), text).toBe("TRY_LATER")
  }
})

test("metadata of another issuer, and endpoints without TLS, are rejected", async () => {
  for (const change of [
    { issuer: "https://evil.example" },
    { jwks_uri: "http://id.example.com/jwks" },
    { jwks_uri: undefined },
  ]) {
    const issuer = new FakeIssuer(key)
    issuer.metadata = { ...issuer.metadata, ...change }
    expect(await rejection(issuer.verifier(), await issuer.token())).toBe("TRY_LATER")
  }
})

test("an issuer that is down gives TRY_LATER, and later its keys stay in use for a day", async () => {
  useFakeClock()
  const issuer = new FakeIssuer(key)
  issuer.isDown = true
  const warnings: string[] = []
  const verifier = issuer.verifier({ warn: (message) => void warnings.push(message) })
  expect(await rejection(verifier, await issuer.token())).toBe("TRY_LATER")
  await settle()
  expect(warnings.join()).toMatch(/feed.*keys|keys.*feed/)
  issuer.isDown = false
  await advance(2_000)
  expect(await rejection(verifier, await issuer.token())).toBe("")
  issuer.isDown = true
  await advance(23 * 3600_000, 300_000)
  expect(await rejection(verifier, await issuer.token())).toBe("")
  await advance(2 * 3600_000, 300_000)
  expect(await rejection(verifier, await issuer.token())).toBe("TRY_LATER")
}, 30_000)

test("a closed verifier rejects tokens, and sends no more requests", async () => {
  const issuer = new FakeIssuer(key)
  const verifier = issuer.verifier()
  const token = await issuer.token()
  await verifier.verify(token)
  await verifier.close()
  const sent = issuer.requests.length
  expect(await rejection(verifier, token)).toBe("TRY_LATER")
  await settle()
  expect(issuer.requests).toHaveLength(sent)
})

test("the cache is bounded, and forged tokens are not cached", async () => {
  const issuer = new FakeIssuer(key)
  const verifier = issuer.verifier({ cacheSize: 2 })
  const cache = (verifier as unknown as { cache: Map<string, unknown> }).cache
  const tokens = await Promise.all(["a", "b", "c"].map((jti) => issuer.token({ jti })))
  for (const token of tokens) await verifier.verify(token)
  await rejection(verifier, `${tokens[0]}x`)
  expect([...cache.keys()]).toEqual(tokens.slice(1))
})

test.each([
  ["http://id.example.com", {}, "has no TLS"],
  ["id.example.com", {}, "is not an issuer URL"],
  ["https://id.example.com?x", {}, "is not an issuer URL"],
  ["https://user:secret@id.example.com", {}, "is not an issuer URL"],
  ["https://id.example.com", { leeway: 61 }, "leeway is 61"],
  ["https://id.example.com", { onStale: "maybe" as "open" }, "onStale is maybe"],
  ["https://id.example.com", { staleAfter: -1 }, "staleAfter is -1"],
  ["https://id.example.com", { cacheSize: -1 }, "cacheSize is -1"],
  ["https://id.example.com", { fetchFrom: "watchword:8080" }, "fetchFrom is not an origin"],
  ["https://id.example.com", { signingSecret: "short" }, "write at least 32"],
  ["https://id.example.com", { realm: 'a"b' }, "realm"],
])("the issuer %s with options %j is refused", (issuer, options, message) => {
  expect(() => new Verifier(issuer, options)).toThrow(message)
})

test("the issuer https://id.example.com/tenant is accepted", () => {
  expect(() => new Verifier("https://id.example.com/tenant")).not.toThrow()
})

// The server and this package accept http for the same hosts (internal/weborigin).
const loopback = readFileSync(new URL("../../../internal/weborigin/testdata/loopback.json", import.meta.url), "utf8")

const hosts = Object.entries(JSON.parse(loopback) as Record<string, boolean>)

test.each(hosts)("http is accepted for %s: %s", (issuer, accepted) => {
  const create = expect(() => new Verifier(issuer))
  if (accepted) create.not.toThrow()
  else create.toThrow()
})

test("fetchFrom replaces the origin of every request", async () => {
  const issuer = new FakeIssuer(key)
  const origins = new Set<string>()
  const fetchSpy = ((input: string, init: RequestInit) => {
    origins.add(new URL(input).origin)
    return issuer.fetch(input, init)
  }) as typeof fetch
  const verifier = issuer.verifier({ fetch: fetchSpy, fetchFrom: "http://watchword:8080" })
  expect(await rejection(verifier, await issuer.token())).toBe("")
  expect([...origins]).toEqual(["http://watchword:8080"])
})

test("an identity for tests needs no token", () => {
  expect(new Identity({ sub: "ada", roles: ["admin"] }).hasRole("admin")).toBe(true)
})

interface Vectors {
  testGroups: {
    comment: string
    public?: JWK
    private?: JWK
    tests: { tcId: number; jws: string; result: string }[]
  }[]
}

// Project Wycheproof's vectors for JWS, which the Go package also uses. Their tokens are not
// access tokens, so this tests only the signature and the encoding.
test("the vectors of Wycheproof with supported keys are decided as labelled", async () => {
  const file = new URL(
    "../../../internal/accesstoken/testdata/wycheproof/json_web_signature_test.json",
    import.meta.url,
  )
  const { testGroups } = JSON.parse(readFileSync(file, "utf8")) as Vectors
  // The result differs from the label for these vectors. 259 has an empty payload. 367 and 370 are labelled for
  // padding that the text does not have. 372 and 373 contain "?", which is not base64url.
  const differs = new Set([259, 367, 370, 372, 373])
  let [accepted, rejected] = [0, 0]
  for (const group of testGroups) {
    const jwk = group.public ?? group.private ?? {}
    const algs: Record<string, string> = { EC: jwk.crv === "P-256" ? "ES256" : "", oct: "HS256", RSA: "RS256" }
    const alg = algs[jwk.kty ?? ""] ?? ""
    if (!alg || (jwk.alg !== undefined && jwk.alg !== alg) || jwk.use === "enc") continue
    const imported = await importJWK({ ...jwk, alg } as JWK, alg).catch(() => undefined)
    if (!imported) continue
    for (const { tcId, jws, result } of group.tests) {
      const parts = jws.split(".")
      const isCanonical =
        parts.length === 3 && parts.every((p) => Buffer.from(p, "base64url").toString("base64url") === p)
      const parsed = { token: jws, kid: "k", alg: headerAlg(parts[0] ?? ""), payload: "" }
      const isValid = isCanonical && parts[1] !== "" && (await hasValidSignature(parsed, { alg, key: imported }))
      if (!differs.has(tcId)) expect(isValid, `${group.comment} ${tcId}`).toBe(result === "valid")
      if (isValid) accepted++
      else rejected++
    }
  }
  expect(accepted).toBeGreaterThan(10)
  expect(rejected).toBeGreaterThan(100)
})

function headerAlg(segment: string): string {
  try {
    return String((JSON.parse(Buffer.from(segment, "base64url").toString()) as { alg: unknown }).alg)
  } catch {
    return ""
  }
}
