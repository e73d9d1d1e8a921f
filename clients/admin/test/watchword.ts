// The real server, built from this repository, with an administrator.
import { execFile, spawn } from "node:child_process"
import { createHmac } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const run = promisify(execFile)
const root = fileURLToPath(new URL("../../..", import.meta.url))
export const password = "seven purple otters"

export interface Watchword {
  url: string
  /** Runs a command of the program while the server runs. */
  command(args: string[], input?: string): Promise<string>
  stop(): Promise<void>
}

/** Builds and starts the server on a new SQLite store. */
export async function startWatchword(): Promise<Watchword> {
  const dir = await mkdtemp(join(tmpdir(), "watchword-admin-"))
  const binary = join(dir, "watchword")
  const data = join(dir, "data")
  await run("go", ["build", "-o", binary, "./cmd/watchword"], { cwd: root })
  const url = `http://127.0.0.1:${await freePort()}`
  const flags = ["--listen", url.slice(7), "--public-url", url, "--admin-listen", "", "--limits", "off"]
  const env = { HOME: dir, PATH: process.env.PATH, WATCHWORD_DATA_DIR: data }
  const stdio: ["ignore", "ignore", "pipe"] = ["ignore", "ignore", "pipe"]
  const server = spawn(binary, ["serve", ...flags], { cwd: dir, env, stdio })
  let output = ""
  server.stderr.on("data", (text) => (output += String(text)))
  const ended = new Promise<void>((resolve) => server.on("exit", () => resolve()))
  for (const began = Date.now(); ;) {
    const isLate = server.exitCode !== null || Date.now() - began > 20_000
    if (isLate) throw new Error(`the server did not start:\n${output}`)
    if ((await fetch(`${url}/readyz`).catch(() => undefined))?.ok) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    url,
    async command(args, input = "") {
      const running = run(binary, args, { cwd: dir, env })
      running.child.stdin?.end(input)
      return (await running).stdout
    },
    async stop() {
      server.kill()
      await ended
      await rm(dir, { recursive: true, force: true })
    },
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export async function postToUserApi(
  server: Watchword,
  path: string,
  body: object,
  token?: string,
): Promise<Record<string, string>> {
  const authorization = token ? { Authorization: `Bearer ${token}` } : undefined
  const headers = { "Content-Type": "application/json", ...authorization }
  const response = await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) })
  return (await response.json()) as Record<string, string>
}

/** Returns the access token. */
export async function signUp(server: Watchword, email: string): Promise<string> {
  return (await postToUserApi(server, "/api/auth/register", { email, password, delivery: "body" })).accessToken ?? ""
}

/** Creates an administrator, and returns an access token of a session with two factors. */
export async function signInAdmin(server: Watchword, email: string): Promise<string> {
  await server.command(["users", "create", email, "--role", "admin", "--password-stdin"], password)
  await server.command(["users", "verify", email])
  const { accessToken = "" } = await postToUserApi(server, "/api/auth/login", { email, password, delivery: "body" })
  const { id = "", secret = "" } = await postToUserApi(server, "/api/auth/factors/totp", {}, accessToken)
  await postToUserApi(server, `/api/auth/factors/totp/${id}/confirm`, { code: totpCode(secret) }, accessToken)
  return accessToken // the token has the level of one factor, but the server reads the session's level
}

/** RFC 6238. */
function totpCode(secret: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0")).join("")
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)))
  const sum = createHmac("sha1", key).update(step).digest()
  const number = sum.readUInt32BE((sum.at(-1) ?? 0) & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, "0")
}
