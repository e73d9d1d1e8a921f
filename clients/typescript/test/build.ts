// The tests of one run share one build of the server. The first test that needs it builds it.
import { execFile } from "node:child_process"
import { access, mkdir, mkdtemp, rename, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const variable = "WATCHWORD_CLIENT_BUILD"
const root = fileURLToPath(new URL("../../..", import.meta.url))

/** Runs before all tests, in the parent process. */
export default async function setup(): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), "watchword-build-"))
  process.env[variable] = dir
  return () => rm(dir, { recursive: true, force: true })
}

export async function serverBinary(): Promise<string> {
  const dir = process.env[variable]
  if (!dir) throw new Error(`${variable} is not set: vitest.config.ts names this file as globalSetup`)
  const built = join(dir, "watchword")
  const isFirst = await mkdir(join(dir, "building")).then(() => true, () => false)
  if (isFirst) {
    await promisify(execFile)("go", ["build", "-o", `${built}.part`, "./cmd/watchword"], { cwd: root })
    await rename(`${built}.part`, built)
  }
  for (const began = Date.now(); !(await access(built).then(() => true, () => false)); ) {
    if (Date.now() - began > 150_000) throw new Error("another test has not built the server")
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return built
}
