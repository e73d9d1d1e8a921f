// Verifies recorded responses of Chromium's authenticator with another library. It also compares the shape of the
// server's options with the options of that library. TestChromiumUsesPasskeysThroughTheClient in package server has
// recorded them.
import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
  type WebAuthnCredential,
} from "@simplewebauthn/server"
import { readFileSync } from "node:fs"
import { expect, test } from "vitest"

interface Exchange {
  options: { challenge: string; userVerification?: string; authenticatorSelection?: object }
  response: { response: Record<string, string> }
}
const recorded = JSON.parse(readFileSync(new URL("chromium.json", import.meta.url), "utf8")) as {
  origin: string
  rpId: string
  sent: { creation: Exchange; uses: Exchange[] }
}
const { origin, rpId, sent } = recorded
const expected = { expectedOrigin: origin, expectedRPID: rpId }

async function created({ options, response } = sent.creation, changes: object = {}): Promise<WebAuthnCredential> {
  const { verified, registrationInfo } = await verifyRegistrationResponse({
    response: response as never, expectedChallenge: options.challenge, ...expected, ...changes,
  })
  expect(verified).toBe(true)
  return registrationInfo?.credential as WebAuthnCredential
}

test("a creation in Chromium is valid for its own challenge, origin and domain only", async () => {
  expect((await created()).counter).toBeLessThan(2)
  for (const changes of [
    { expectedChallenge: "another" }, { expectedOrigin: "http://localhost:1" }, { expectedRPID: "example.com" },
  ]) {
    await expect(created(sent.creation, changes)).rejects.toThrow(/challenge|origin|RP ID/)
  }
})

test("each use in Chromium is valid, and a changed one is not", async () => {
  const credential = await created()
  expect(sent.uses).toHaveLength(3)
  for (const { options, response } of sent.uses) {
    const use = { ...expected, expectedChallenge: options.challenge, credential }
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({ ...use, response: response as never })
    expect(verified).toBe(true)
    expect(authenticationInfo).toMatchObject({ userVerified: true, origin, rpID: rpId })
    credential.counter = authenticationInfo.newCounter
    const changed = structuredClone(response)
    changed.response.signature = changed.response.signature?.replace(/^./, (first) => (first === "A" ? "B" : "A")) ?? ""
    const before = { ...credential, counter: 0 }
    const again = await verifyAuthenticationResponse({ ...use, credential: before, response: changed as never })
      .catch(() => ({ verified: false }))
    expect(again.verified).toBe(false)
  }
  expect(sent.uses[1]?.options.userVerification).toBe("required") // the second use signs in with the passkey alone
})

/** Returns the names and types of the members, without their values, which differ by account. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf)
  if (typeof value !== "object" || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shapeOf(member)]))
}

test("the server's options have the shape of the other library's options", async () => {
  const descriptor = { id: "AAAA", transports: ["internal" as const] }
  const creation = await generateRegistrationOptions({ rpName: "Example", rpID: rpId, userName: "ada@example.com" })
  expect(shapeOf(creation)).toMatchObject(shapeOf(sent.creation.options) as object)
  const use = await generateAuthenticationOptions({ rpID: rpId, allowCredentials: [descriptor] })
  for (const { options } of sent.uses) expect(shapeOf(use)).toMatchObject(shapeOf(options) as object)
})
