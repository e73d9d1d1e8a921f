// Tests with the real server, built from this repository.
import { execFile, spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest"
import { Verifier } from "../src/index.js"
import { rejection } from "./issuer.js"

const run = promisify(execFile)
const root = fileURLToPath(new URL("../../..", import.meta.url))
const rounds = Number(process.env.SOAK_ROUNDS ?? 20)
let [binary, dir, url] = ["", "", ""]
let stop = async (): Promise<void> => {}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "watchword-verify-"))
  binary = join(dir, "watchword")
  await run("go", ["build", "-o", binary, "./cmd/watchword"], { cwd: root })
  const listen = `127.0.0.1:${await freePort()}`
  url = `http://${listen}`
  const flags = [
    "--listen",
    listen,
    "--public-url",
    url,
    "--admin-listen",
    "",
    "--data-dir",
    join(dir, "data"),
    "--limits",
    "off",
  ]
  const environment = { cwd: dir, env: { HOME: dir, PATH: process.env.PATH } }
  const server = spawn(binary, ["serve", ...flags], { ...environment, stdio: ["ignore", "ignore", "pipe"] })
  let output = ""
  server.stderr.on("data", (text) => (output += String(text)))
  const ended = new Promise<void>((resolve) => server.on("exit", () => resolve()))
  stop = async () => {
    server.kill()
    await ended
    await rm(dir, { recursive: true, force: true })
  }
  for (const began = Date.now(); ;) {
    if (server.exitCode !== null || Date.now() - began > 20_000)
      throw new Error(`the server did not start:\n${output}`)
    const ready = await fetch(`${url}/readyz`).catch(() => undefined)
    if (ready?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}, 180_000)

afterAll(() => stop())

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function post(path: string, body: object, token?: string): Promise<Record<string, unknown>> {
  const authorization = token ? { Authorization: `Bearer ${token}` } : undefined
  const headers = { "Content-Type": "application/json", ...authorization }
  const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) })
  return (await response.json()) as Record<string, unknown>
}

const password = "seven purple otters"
let email = ""

async function signUp(): Promise<string> {
  email = `u${crypto.randomUUID()}@example.com`
  return String((await post("/api/auth/register", { email, password, delivery: "body" })).accessToken)
}

function opened(): Verifier {
  const verifier = new Verifier(url, { onStale: "closed" })
  onTestFinished(() => verifier.close())
  return verifier
}

test("a token of the server is verified, and a session that ends is rejected", async () => {
  const verifier = opened()
  await verifier.ready()
  const token = await signUp()
  const identity = await verifier.verify(token)
  expect(identity).toMatchObject({ roles: [], acr: "aal1", amr: ["pwd"] })
  await post("/api/auth/logout", {}, token)
  await expect.poll(() => rejection(verifier, token), { interval: 5, timeout: 5_000 }).toBe("SESSION_ENDED")
}, 30_000)

test("a role that an operator sets makes older tokens expire", async () => {
  const verifier = opened()
  await verifier.ready()
  const token = await signUp()
  await verifier.verify(token)
  await new Promise((resolve) => setTimeout(resolve, 1_100)) // `iat` has whole seconds, so wait for a later one
  await run(binary, ["users", "set-roles", email, "admin", "--data-dir", join(dir, "data")], {
    cwd: dir,
    env: { HOME: dir },
  })
  await expect.poll(() => rejection(verifier, token), { interval: 20, timeout: 5_000 }).toBe("TOKEN_EXPIRED")
}, 30_000)

// This test measures the delay for docs/revocation.md: SOAK_ROUNDS=1000 npx vitest run test/real.test.ts
test("every ended session is rejected, and the delay is printed", async () => {
  const verifier = opened()
  await verifier.ready()
  const delays: number[] = []
  for (let round = 0; round < rounds; round++) {
    const token = await signUp()
    await verifier.verify(token)
    await post("/api/auth/logout", {}, token)
    const ended = performance.now()
    while ((await rejection(verifier, token)) === "") await new Promise((resolve) => setImmediate(resolve))
    delays.push(performance.now() - ended)
  }
  delays.sort((a, b) => a - b)
  const at = (share: number): string => (delays[Math.ceil(delays.length * share) - 1] ?? NaN).toFixed(1)
  console.log(`logout to refusal, ${rounds} sessions: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`)
  expect(delays).toHaveLength(rounds)
}, 600_000)
