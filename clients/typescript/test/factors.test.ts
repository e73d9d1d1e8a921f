// Second factors and step-up with the real server, built from this repository.
import { createHmac } from "node:crypto"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { createFactors, type Factors } from "../src/factors.js"
import { createClient, WatchwordError, type Client } from "../src/index.js"
import { closeAfterTest } from "./browser.js"
import { startWatchword, type Watchword } from "./watchword.js"

let server: Watchword

beforeAll(async () => {
  server = await startWatchword("--step-up-age", "10s")
}, 180_000)

afterAll(() => server.stop())

const password = "seven purple otters"

/** Returns a code of an authenticator app (RFC 6238). `ahead` is the number of time steps after the current one. */
function totpCode(secret: string, ahead = 0): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0")).join("")
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead))
  const sum = createHmac("sha1", key).update(step).digest()
  const number = sum.readUInt32BE((sum.at(-1) ?? 0) & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, "0")
}

/** Returns a client with a storage, which sends the handle of a sign-in in request bodies. */
function clientWithStorage(url = server.url): Client {
  const kept: { token?: string } = {}
  const storage = {
    get: () => kept.token,
    set: (token: string) => void (kept.token = token),
    remove: () => void delete kept.token,
  }
  return closeAfterTest(createClient({ baseUrl: url, storage }))
}

/** As in a page: the refresh token and the handle are in cookies, which Node.js does not store itself. */
function clientWithCookies(url = server.url): { client: Client; cookies: Map<string, string> } {
  const cookies = new Map<string, string>()
  const keeping: typeof fetch = async (input, init) => {
    const headers = new Headers(init?.headers)
    headers.set("Origin", url)
    headers.set("Cookie", [...cookies].map(([name, value]) => `${name}=${value}`).join("; "))
    const response = await fetch(input, { ...init, headers })
    for (const set of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(set) ?? []
      if (value) cookies.set(name, value)
      else cookies.delete(name)
    }
    return response
  }
  return { client: closeAfterTest(createClient({ baseUrl: url, fetch: keeping })), cookies }
}

async function mailedToken(from: Watchword, to: string): Promise<string> {
  const find = async (): Promise<string> => {
    const mail = (await from.readMails()).find((text) => text.includes(to))
    const token = /#token=([\w-]+)/.exec(mail ?? "")?.[1]
    if (!token) throw new Error(`no mail came to ${to}`)
    return token
  }
  return vi.waitFor(find, { timeout: 20_000, interval: 50 })
}

async function signUpWithApp(
  email: string,
): Promise<{ client: Client; factors: Factors; secret: string; codes: string[] }> {
  const client = clientWithStorage()
  await client.register({ email, password })
  const factors = createFactors(client)
  await expect(factors.beginTOTP()).rejects.toMatchObject({ code: "EMAIL_NOT_VERIFIED", status: 403 })
  await client.verifyEmail({ token: await mailedToken(server, email) })
  const { id, secret, uri, qr } = await factors.beginTOTP()
  expect(qr).toMatch(/^<svg[ >]/)
  expect(uri).toMatch(/^otpauth:\/\/totp\//)
  await expect(factors.confirmTOTP(id, { code: "not it" })).rejects.toMatchObject({ code: "FACTOR_WRONG" })
  const { factor, recoveryCodes = [] } = await factors.confirmTOTP(id, { code: totpCode(secret) })
  expect(factor).toMatchObject({ kind: "totp" })
  expect(recoveryCodes).toHaveLength(10)
  expect(acrOf(await client.getAccessToken())).toBe("aal2")
  return { client, factors, secret, codes: recoveryCodes }
}

function acrOf(token: string): unknown {
  return (JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { acr: unknown }).acr
}

test("a sign-in with a factor needs loginFactor, in a program and in a page", async () => {
  const email = "ada@example.com"
  const { client: first, factors, secret, codes } = await signUpWithApp(email)
  const pages = clientWithCookies()
  for (const [client, proof] of [
    [clientWithStorage(), { totp: totpCode(secret, 1) }],
    [pages.client, { recoveryCode: codes[0] ?? "" }],
  ] as const) {
    const error: unknown = await client.login({ email, password }).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(WatchwordError)
    expect(error).toMatchObject({ code: "SECOND_FACTOR_REQUIRED", status: 403, challenge: { expiresIn: 600 } })
    expect((error as WatchwordError).challenge?.methods).toEqual(expect.arrayContaining(["totp", "recovery"]))
    expect(JSON.stringify(error)).not.toContain("wwc_") // no handle, because errors are logged
    expect(client.getSnapshot().status).not.toBe("signedIn")
    await expect(client.me()).rejects.toMatchObject({ status: 401 })
    await expect(client.loginFactor({ totp: "000000x" })).rejects.toMatchObject({ code: "FACTOR_WRONG" })
    expect(await client.loginFactor(proof)).toMatchObject({ user: { email } })
    expect(client.getSnapshot()).toMatchObject({ status: "signedIn", user: { email } })
    expect(acrOf(await client.getAccessToken())).toBe("aal2")
    await client.refresh()
    expect((await client.me()).user.email).toBe(email)
    await expect(client.loginFactor(proof)).rejects.toMatchObject({ code: "CHALLENGE_INVALID", status: 401 })
  }
  expect([...pages.cookies.keys()].filter((name) => name.includes("step"))).toEqual([])
  await expect(clientWithStorage().loginFactor({ totp: "123456" })).rejects.toMatchObject({ code: "CHALLENGE_INVALID" })

  const list = await factors.list()
  expect(list).toMatchObject({ factors: [{ kind: "totp" }], recoveryCodes: { left: 9 }, required: false })
  const id = list.factors[0]?.id ?? ""
  await factors.rename(id, { name: "phone" })
  expect((await factors.list()).factors[0]?.name).toBe("phone")
  expect((await first.sessions()).sessions).toHaveLength(3)
}, 60_000)

test("a stale session steps up once for all its requests, and removes its factor", async () => {
  const email = "grace@example.com"
  const { client, factors, codes } = await signUpWithApp(email)
  await new Promise((resolve) => setTimeout(resolve, 10_500)) // step-up-age
  await expect(factors.newRecoveryCodes()).rejects.toMatchObject({ code: "STEP_UP_REQUIRED", status: 401 })
  await expect(client.stepUp({ password })).rejects.toMatchObject({ code: "STEP_UP_REQUIRED" })
  const asked = vi.fn(() => client.stepUp({ recoveryCode: codes[1] ?? "" }))
  client.onStepUp(asked)
  const answers = await Promise.all([factors.newRecoveryCodes(), factors.beginTOTP()])
  expect(answers[0].codes).toHaveLength(10)
  expect(asked.mock.calls).toEqual([[{ acrValues: ["aal2"], maxAge: 10 }]])

  const id = (await factors.list()).factors[0]?.id ?? ""
  await factors.remove(id)
  expect(acrOf(await client.getAccessToken())).toBe("aal1")
  expect(await factors.list()).toMatchObject({ factors: [] })
  expect(await clientWithStorage().login({ email, password })).toMatchObject({ user: { email } })
}, 60_000)

test("a gateway's challenge is met by a proof", async () => {
  const { client, codes } = await signUpWithApp("mary@example.com")
  const asked = vi.fn(() => client.stepUp({ recoveryCode: codes[0] ?? "" }))
  client.onStepUp(asked)
  const gateway = `${server.url}/api/auth/forward?acr=aal2&max_age=2`
  await new Promise((resolve) => setTimeout(resolve, 2_100))
  expect((await client.fetch(gateway)).status).toBe(200)
  expect(asked.mock.calls).toEqual([[{ acrValues: ["aal2"], maxAge: 2 }]])
  const plain = clientWithStorage()
  await plain.register({ email: "tim@example.com", password })
  plain.onStepUp(() => plain.stepUp({ password }))
  expect((await plain.fetch(`${server.url}/api/auth/forward?max_age=300`)).status).toBe(200)
  expect((await plain.fetch(gateway)).status).toBe(401) // a password is not a second factor
}, 60_000)

test("an account that must have a factor enrols before its first session", async () => {
  const strict = await startWatchword("--second-factor", "required")
  try {
    for (const [client, email] of [
      [clientWithStorage(strict.url), "rosa@example.com"],
      [clientWithCookies(strict.url).client, "joan@example.com"],
    ] as const) {
      expect(await client.register({ email, password })).toHaveProperty("message")
      const token = await mailedToken(strict, email)
      const error: unknown = await client.verifyEmail({ token, password }).catch((e: unknown) => e)
      expect(error).toMatchObject({ code: "ENROLMENT_REQUIRED", status: 403 })
      expect(JSON.stringify(error)).not.toContain("wwc_")
      const factors = createFactors(client)
      const { id, secret } = await factors.beginTOTP()
      expect(client.getSnapshot().status).not.toBe("signedIn")
      const done = await factors.confirmTOTP(id, { code: totpCode(secret) })
      expect(Object.keys(done).sort()).toEqual(["factor", "recoveryCodes"])
      expect(client.getSnapshot()).toMatchObject({ status: "signedIn", user: { email } })
      expect((await factors.list()).factors).toHaveLength(1)
    }
  } finally {
    await strict.stop()
  }
}, 120_000)
