// Passkeys with the real server, built from this repository. @simplewebauthn/server also verifies
// each response that the client has sent.
import {
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
  type WebAuthnCredential,
} from "@simplewebauthn/server"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { createFactors, createPasskeys, type Factors, type Outcome, type Passkeys } from "../src/factors.js"
import { createClient, WatchwordError, type Challenge, type Client } from "../src/index.js"
import { Authenticator } from "./authenticator.js"
import { closeAfterTest } from "./browser.js"
import { startWatchwordAt, type Watchword } from "./watchword.js"

let server: Watchword

beforeAll(async () => {
  server = await startWatchwordAt("localhost", "--second-factor", "required", "--remember-device", "720h")
}, 180_000)

afterAll(() => server.stop())

const password = "seven purple otters"

interface Sent {
  path: string
  body: Record<string, unknown>
  response: Record<string, unknown>
}

/** A page of the server's origin, with its cookies and everything that it has sent. */
class Page {
  readonly cookies = new Map<string, string>()
  readonly sent: Sent[] = []
  readonly client: Client
  readonly factors: Factors
  readonly passkeys: Passkeys
  readonly authenticator: Authenticator

  constructor(native: boolean) {
    this.client = closeAfterTest(createClient({ baseUrl: server.url, fetch: this.fetch }))
    this.factors = createFactors(this.client)
    this.passkeys = createPasskeys(this.client)
    this.authenticator = new Authenticator(server.url, native)
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const headers = new Headers(init?.headers)
    headers.set("Origin", server.url)
    headers.set("Cookie", [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; "))
    const response = await fetch(input, { ...init, headers })
    for (const set of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(set) ?? []
      if (value) this.cookies.set(name, value)
      else this.cookies.delete(name)
    }
    const read = async (text: Promise<string>) => JSON.parse((await text) || "{}") as Record<string, unknown>
    const body = await read(Promise.resolve(typeof init?.body === "string" ? init.body : ""))
    this.sent.push({
      path: new URL(String(input)).pathname.replace("/api/auth/", ""),
      body,
      response: await read(response.clone().text()),
    })
    return response
  }

  /** Signs up on a server that requires a factor, adds a passkey, and returns the recovery codes. */
  async signUpWaitingForPasskey(email: string): Promise<string[]> {
    await this.client.register({ email, password })
    const token = await vi.waitFor(async () => {
      const mail = (await server.readMails()).find((text) => text.includes(email))
      return /#token=([\w-]+)/.exec(mail ?? "")?.[1] ?? Promise.reject(new Error(`no mail came to ${email}`))
    }, { timeout: 20_000, interval: 50 })
    const error = await this.client.verifyEmail({ token, password }).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: "ENROLMENT_REQUIRED", challenge: { methods: ["totp", "passkey"] } })
    const { factor, recoveryCodes = [] } = finished(await this.passkeys.add({ name: "blue key" }))
    expect(factor).toMatchObject({ kind: "passkey", name: "blue key", backedUp: true })
    expect(recoveryCodes).toHaveLength(10)
    expect(this.client.getSnapshot()).toMatchObject({ status: "signedIn", user: { email } })
    return recoveryCodes
  }

  async challenge(email: string): Promise<Challenge> {
    const error = await this.client.login({ email, password }).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: "SECOND_FACTOR_REQUIRED" })
    return (error as WatchwordError).challenge as Challenge
  }

  lastExchange(path: string): Sent {
    const found = this.sent.filter((one) => one.path === path).at(-1)
    if (!found) throw new Error(`nothing was sent to ${path}`)
    return found
  }
}

function finished<T extends object>(outcome: Outcome<T>): T {
  if (outcome.cancelled) throw new Error("cancelled")
  return outcome
}

type PublicKey = { challenge: string; userVerification?: string; authenticatorSelection?: { userVerification: string } }

/** Uses @simplewebauthn/server. */
async function verifyRegistration(page: Page): Promise<WebAuthnCredential> {
  const { publicKey } = page.lastExchange("factors/passkeys/options").response as { publicKey: PublicKey }
  const { verified, registrationInfo } = await verifyRegistrationResponse({
    response: page.lastExchange("factors/passkeys").body.credential as never,
    expectedChallenge: publicKey.challenge,
    expectedOrigin: server.url,
    expectedRPID: "localhost",
    requireUserVerification: publicKey.authenticatorSelection?.userVerification === "required",
  })
  expect(verified).toBe(true)
  expect(registrationInfo).toMatchObject({
    fmt: "none",
    userVerified: true,
    credentialBackedUp: true,
    origin: server.url,
  })
  return registrationInfo?.credential as WebAuthnCredential
}

/** Verifies an assertion with the other library, which must reject it for a different challenge. */
async function verifyUse(credential: WebAuthnCredential, publicKey: PublicKey, response: unknown): Promise<void> {
  const expected = {
    response: response as never,
    expectedOrigin: server.url,
    expectedRPID: "localhost",
    credential,
    requireUserVerification: publicKey.userVerification === "required",
  }
  const { verified, authenticationInfo } = await verifyAuthenticationResponse({
    ...expected,
    expectedChallenge: publicKey.challenge,
  })
  expect(verified).toBe(true)
  expect(authenticationInfo.newCounter).toBeGreaterThan(credential.counter)
  credential.counter = authenticationInfo.newCounter
  await expect(verifyAuthenticationResponse({ ...expected, expectedChallenge: "another" })).rejects.toThrow("challenge")
}

test.each([
  ["with", true],
  ["without", false],
])("a browser %s JSON functions creates and uses a passkey", async (name, native) => {
  const email = `${name}@example.com`
  const page = new Page(native)
  const { client, passkeys, authenticator } = page
  await page.signUpWaitingForPasskey(email)
  const credential = await verifyRegistration(page)
  expect(credential.id).toBe(authenticator.passkeys[0]?.id)

  await client.logout()
  expect(finished(await passkeys.signIn())).toMatchObject({ user: { email } })
  expect(client.getSnapshot()).toMatchObject({ status: "signedIn", user: { email } })
  const alone = page.lastExchange("passkey/options").response.publicKey as PublicKey
  expect(alone.userVerification).toBe("required")
  await verifyUse(credential, alone, page.lastExchange("passkey/login").body.credential)

  await client.logout()
  const challenge = await page.challenge(email)
  expect(challenge).toMatchObject({ methods: ["passkey", "recovery"], rememberFor: 2_592_000 })
  expect(finished(await passkeys.completeSignIn(challenge))).toMatchObject({ user: { email } })
  await verifyUse(credential, challenge.passkey?.publicKey as PublicKey, page.lastExchange("login/factor").body.passkey)

  expect(await passkeys.stepUp()).toEqual({ cancelled: false })
  const again = page.lastExchange("step-up/options").response.publicKey as PublicKey
  await verifyUse(credential, again, page.lastExchange("step-up").body.passkey)
  expect((await client.me()).user.email).toBe(email)
}, 60_000)

test("passkeys are listed, renamed and removed, and the browser is told", async () => {
  const email = "list@example.com"
  const page = new Page(true)
  const { client, factors, passkeys, authenticator } = page
  await page.signUpWaitingForPasskey(email)
  const listed = await factors.list()
  expect(listed).toMatchObject({
    required: true,
    factors: [{ kind: "passkey", name: "blue key" }],
    recoveryCodes: { left: 10 },
  })
  const { id = "" } = listed.factors[0] ?? {}
  const [first] = authenticator.passkeys
  const owner = { rpId: "localhost", userId: listed.signal?.userId }
  expect(authenticator.signals).toEqual([
    ["accepted", { ...owner, allAcceptedCredentialIds: [first?.id] }],
    ["details", { ...owner, name: email, displayName: email }],
  ])
  await factors.rename(id, { name: "old laptop" })
  await expect(factors.rename(id, { name: "" })).rejects.toMatchObject({ code: "VALIDATION_FAILED" })
  await expect(factors.remove(id)).rejects.toMatchObject({ code: "LAST_WAY_IN", status: 409 })
  await expect(passkeys.add()).rejects.toMatchObject({ code: "PASSKEY_EXISTS" })

  // The user adds a passkey on another authenticator and removes the first. The browser must be told the remaining
  // passkey.
  const other = new Authenticator(server.url, true)
  finished(await passkeys.add({ name: "phone" }))
  await factors.remove(id)
  expect((await factors.list()).factors.map((one) => one.name)).toEqual(["phone"])
  expect(other.signals.filter(([name]) => name === "accepted").at(-1)?.[1]).toMatchObject({
    allAcceptedCredentialIds: [other.passkeys[0]?.id],
  })

  // The removed passkey must no longer sign in, and its browser must forget it.
  await client.logout()
  other.passkeys.push(...authenticator.passkeys)
  await expect(passkeys.signIn()).rejects.toMatchObject({ code: "INVALID_CREDENTIALS", status: 401 })
  expect(other.signals.filter(([name]) => name === "unknown").at(-1)).toEqual([
    "unknown",
    { rpId: "localhost", credentialId: first?.id },
  ])
  expect(client.getSnapshot().status).toBe("signedOut")
}, 60_000)

test("a page remembers the browser, and forgets it", async () => {
  const email = "browser@example.com"
  const page = new Page(true)
  const { client, factors, passkeys } = page
  await page.signUpWaitingForPasskey(email)
  await client.logout()
  finished(await passkeys.completeSignIn(await page.challenge(email), { rememberDevice: true }))
  const { devices } = await factors.devices()
  expect(devices).toHaveLength(1)
  await client.logout()
  expect(await client.login({ email, password })).toMatchObject({ user: { email } }) // without a second factor
  client.onStepUp(async () => void (await passkeys.stepUp()))
  await factors.forgetDevice(devices[0]?.id ?? "")
  expect(page.sent.map((one) => one.path)).toContain("step-up")
  expect(await factors.devices()).toEqual({ devices: [] })
  await client.logout()
  finished(await passkeys.completeSignIn(await page.challenge(email), { rememberDevice: true }))
  await factors.forgetDevices()
  await client.logout()
  await page.challenge(email)
}, 60_000)

test("a suggestion of the browser signs in, and an upgrade is no proof", async () => {
  const email = "auto@example.com"
  const page = new Page(false)
  const { client, factors, passkeys, authenticator } = page
  await page.signUpWaitingForPasskey(email)
  await client.logout()
  const suggested = passkeys.autofill()
  await vi.waitFor(() => expect(authenticator.requests.at(-1)).toBe("get conditional"))
  authenticator.choose()
  expect(finished(await suggested)).toMatchObject({ user: { email } })

  const other = new Authenticator(server.url, false)
  const { factor, recoveryCodes } = finished(await passkeys.upgrade({ name: "created without a dialog" }))
  expect(other.requests).toEqual(["create conditional"])
  expect(factor).toMatchObject({ kind: "passkey", name: "created without a dialog" })
  expect(recoveryCodes).toBeUndefined()
  expect(await passkeys.upgrade()).toEqual({ cancelled: true }) // this browser already has a passkey
  expect((await factors.list()).factors).toHaveLength(2)
}, 60_000)
