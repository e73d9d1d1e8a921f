// The application of examples/admin-profile, with the packages of this repository.
import { execFile, spawn } from "node:child_process"
import { copyFile, mkdir, mkdtemp, rm, symlink } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { freePort, type Watchword } from "./watchword.js"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const scopes = "users:read,users:write,sessions:end"

export interface Example {
  url: string
  /** Everything that the application has printed. */
  output(): string
  stop(): Promise<void>
}

/** Starts the application in a new folder, with a service key of the server. */
export async function startExample(server: Watchword): Promise<Example> {
  const dir = await mkdtemp(join(tmpdir(), "watchword-example-"))
  await mkdir(join(dir, "node_modules", "@watchword"), { recursive: true })
  for (const name of ["admin", "verify"]) {
    const folder = join(root, "clients", name)
    await promisify(execFile)("npm", ["run", "--silent", "build"], { cwd: folder })
    await symlink(folder, join(dir, "node_modules", "@watchword", name))
  }
  for (const name of ["app.js", "package.json"]) {
    await copyFile(join(root, "examples/admin-profile", name), join(dir, name))
  }
  const key = (await server.command(["service-keys", "create", "example", "--scope", scopes])).trim()
  const port = String(await freePort())
  const env = { PATH: process.env.PATH, PORT: port, WATCHWORD_URL: server.url, WATCHWORD_KEY: key }
  const app = spawn(process.execPath, ["app.js"], { cwd: dir, env, stdio: ["ignore", "pipe", "pipe"] })
  let output = ""
  const ended = new Promise<void>((resolve) => app.on("exit", () => resolve()))
  const listening = new Promise<void>((resolve) => {
    for (const stream of [app.stdout, app.stderr]) {
      stream.on("data", (text) => {
        output += String(text)
        if (output.includes("listening")) resolve()
      })
    }
  })
  await Promise.race([listening, ended])
  if (app.exitCode !== null) throw new Error(`the application did not start:\n${output}`)
  return {
    url: `http://127.0.0.1:${port}`,
    output: () => output,
    async stop() {
      app.kill()
      await ended
      await rm(dir, { recursive: true, force: true })
    },
  }
}
