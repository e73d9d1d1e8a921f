// An authenticator app, and accounts that have one.
import { createHmac } from "node:crypto"
import { vi } from "vitest"
import { createFactors } from "../src/factors.js"
import { createClient, type Registration } from "../src/index.js"
import { closeAfterTest } from "./browser.js"
import type { Watchword } from "./watchword.js"

/** Returns a code of an authenticator app (RFC 6238). `ahead` is the number of time steps after the current one. */
export function totpCode(secret: string, ahead = 0): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0")).join("")
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead))
  const sum = createHmac("sha1", key).update(step).digest()
  const number = sum.readUInt32BE((sum.at(-1) ?? 0) & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, "0")
}

export interface Enrolled {
  email: string
  secret: string
  codes: string[]
}

export async function signUpWithApp(server: Watchword, body: Registration): Promise<Enrolled> {
  let kept: string | undefined
  const storage = {
    get: () => kept,
    set: (token: string) => void (kept = token),
    remove: () => void (kept = undefined),
  }
  const client = closeAfterTest(createClient({ baseUrl: server.url, storage }))
  await client.register(body)
  const token = await vi.waitFor(async () => {
    const mail = (await server.readMails()).find((text) => text.includes(body.email))
    const found = /#token=([\w-]+)/.exec(mail ?? "")?.[1]
    if (!found) throw new Error(`no mail came to ${body.email}`)
    return found
  }, { timeout: 20_000, interval: 50 })
  await client.verifyEmail({ token })
  const factors = createFactors(client)
  const { id, secret } = await factors.beginTOTP()
  const { recoveryCodes = [] } = await factors.confirmTOTP(id, { code: totpCode(secret) })
  return { email: body.email, secret, codes: recoveryCodes }
}
