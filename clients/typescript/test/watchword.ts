// The real server, built from this repository.
import { execFile, spawn } from "node:child_process"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { serverBinary } from "./build.js"

export interface Watchword {
  url: string
  runCommand(...command: string[]): Promise<unknown>
  readMails(): Promise<string[]>
  stop(): Promise<void>
}

export function startWatchword(...flags: string[]): Promise<Watchword> {
  return startWatchwordAt("127.0.0.1", ...flags)
}

/** Starts the server with this host name, because passkeys don't work with an IP address. */
export async function startWatchwordAt(host: string, ...flags: string[]): Promise<Watchword> {
  const dir = await mkdtemp(join(tmpdir(), "watchword-client-"))
  const mailbox = join(dir, "data", "mail")
  const port = await freePort()
  const listen = `127.0.0.1:${port}`
  const url = `http://${host}:${port}`
  const all = [
    "--listen",
    listen,
    "--public-url",
    url,
    "--admin-listen",
    "",
    "--data-dir",
    join(dir, "data"),
    ...flags,
  ]
  const server = spawn(await serverBinary(), ["serve", ...all], {
    cwd: dir,
    env: { HOME: dir, PATH: process.env.PATH },
    stdio: ["ignore", "ignore", "pipe"],
  })
  let output = ""
  server.stderr.on("data", (text) => (output += String(text)))
  const ended = new Promise<void>((resolve) => server.on("exit", () => resolve()))
  for (const began = Date.now(); ;) {
    const isLate = server.exitCode !== null || Date.now() - began > 20_000
    if (isLate) throw new Error(`the server did not start:\n${output}`)
    const ready = await fetch(`${url}/readyz`).catch(() => undefined)
    if (ready?.ok) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    url,
    async runCommand(...command) {
      const env = { HOME: dir, PATH: process.env.PATH }
      return promisify(execFile)(await serverBinary(), [...command, "--data-dir", join(dir, "data")], { cwd: dir, env })
    },
    async readMails() {
      const names = await readdir(mailbox).catch(() => [])
      const written = names.filter((name) => !name.startsWith(".")) // files with a dot are still being written
      return Promise.all(written.map((name) => readFile(join(mailbox, name), "utf8")))
    },
    async stop() {
      server.kill()
      await ended
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
