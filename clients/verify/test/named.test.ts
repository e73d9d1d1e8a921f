// The server in these tests signs with HS256, and its setting issuer differs from its URL. The `iss` of its access
// tokens is the value of issuer.
import { expect, test } from "vitest"
import { Verifier, type VerifierOptions } from "../src/index.js"
import { rejection, FakeIssuer, settle, useFakeClock, type SigningKey } from "./issuer.js"

const secret = "a secret that resource servers share"
const key: SigningKey = { alg: "HS256", kid: "shared", privateKey: Buffer.from(secret), jwk: {} }
const from = "http://watchword:8080"

// JWT-20
test("a named issuer's tokens are verified, and its feed is that of the metadata's issuer", async () => {
  useFakeClock()
  const issuer = new FakeIssuer(key)
  const options = { signingSecret: secret, fetchFrom: from, audience: issuer.url }
  const verifier = issuer.verifierOf("your-app", options)
  expect(verifier.realm).toBe("your-app")
  const code = async (sid: string) => rejection(verifier, await issuer.token({ iss: "your-app", sid }))
  expect(await code("s1")).toBe("")
  expect(await rejection(verifier, await issuer.token())).toBe("TOKEN_INVALID") // its `iss` is the server's URL
  const stream = await issuer.stream(1)
  stream.send(
    await issuer.sessionEnd(1, "s1"),
    await issuer.heartbeat(1),
    await issuer.sessionEnd(2, "s2", { iss: "your-app" }),
  )
  await settle()
  expect([await code("s1"), await code("s2")]).toEqual(["SESSION_ENDED", ""])
  expect((await issuer.stream(2)).after).toBe("1") // the verifier refused event 2, so it continues after event 1
}, 20_000)

// JWT-20
test.each<[string, VerifierOptions, boolean]>([
  ["your-app", { signingSecret: secret, fetchFrom: from, audience: "api" }, true],
  ["Your App", { signingSecret: secret, fetchFrom: from, audience: "api" }, true],
  ["your-app", {}, false],
  ["your-app", { fetchFrom: from, audience: "api" }, false],
  ["your-app", { signingSecret: secret, audience: "api" }, false],
  ["your-app", { signingSecret: secret, fetchFrom: from }, false],
  ['your"app', { signingSecret: secret, fetchFrom: from, audience: "api" }, false],
  ["", { signingSecret: secret, fetchFrom: from, audience: "api" }, false],
])("the issuer %j with %j", (issuer, options, isValid) => {
  const create = (): Verifier => new Verifier(issuer, options)
  if (isValid) expect(create).not.toThrow()
  else expect(create).toThrow("needs signingSecret, fetchFrom and audience")
})

test("an issuer with public keys must be the issuer of its metadata", async () => {
  const issuer = new FakeIssuer(key)
  const verifier = issuer.verifierOf("https://other.example.com", { fetchFrom: from, audience: issuer.url })
  expect(await rejection(verifier, await issuer.token())).toBe("TRY_LATER")
})
