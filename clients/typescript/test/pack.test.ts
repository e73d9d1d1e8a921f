// Installs the packed packages as an application would, and uses them from an ES module, from
// TypeScript that compiles to CommonJS, and through a bundler.
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { build } from "esbuild"
import { afterAll, beforeAll, expect, test } from "vitest"

const run = promisify(execFile)
const clients = fileURLToPath(new URL("../..", import.meta.url))
const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
let app = ""

const source = `
import { AdminError, createAdmin, type AdminUser } from "@watchword/admin"
import { createClient, WatchwordError, type Snapshot } from "@watchword/client"
import { Verifier, TokenError, type Identity } from "@watchword/verify"
import { protect } from "@watchword/verify/express"

const snapshot: Snapshot = createClient({ baseUrl: "https://id.example.com", storage: memory() }).getSnapshot()
const users: AsyncIterable<AdminUser> = createAdmin({ url: "https://id.example.com", key: "wwk_x" }).users.list()
const verifier = new Verifier("https://id.example.com")
const found: Promise<string> = verifier.verify("x").then((identity: Identity) => identity.subject)
found.catch((error: unknown) => {
  const isKnown = error instanceof TokenError && !(error instanceof WatchwordError || error instanceof AdminError)
  console.log(snapshot.status, isKnown, typeof protect(verifier).requireRole("admin"), typeof users)
  return verifier.close()
})
function memory() {
  return { get: () => undefined, set: () => {}, remove: () => {} }
}
`

beforeAll(async () => {
  app = await mkdtemp(join(tmpdir(), "watchword-app-"))
  for (const name of ["admin", "typescript", "verify"]) {
    const folder = join(clients, name)
    await run("npm", ["run", "--silent", "build"], { cwd: folder })
    await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", app], { cwd: folder })
  }
  await writeFile(join(app, "package.json"), JSON.stringify({ private: true, type: "commonjs" }))
  const packed = (await readdir(app)).filter((name) => name.endsWith(".tgz"))
  expect(packed).toHaveLength(3)
  await run("npm", ["install", ...quiet, ...packed.map((name) => join(app, name))], { cwd: app })
}, 180_000)

afterAll(() => rm(app, { recursive: true, force: true }))

/** Compiles the file, runs it, and returns its output. The extension .mts or .cts decides the kind of module. */
async function runCompiled(file: string): Promise<string> {
  const types = join(clients, "verify", "node_modules", "@types")
  const kind = { module: "nodenext", target: "es2022", strict: true }
  const options = { ...kind, skipLibCheck: true, types: ["node"], typeRoots: [types] }
  const folder = join(app, file.replace(".", "-"))
  await mkdir(folder)
  await writeFile(join(folder, file), source)
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: [file] }))
  const tsc = join(clients, "typescript", "node_modules", "typescript", "bin", "tsc")
  await run(process.execPath, [tsc, "-p", "tsconfig.json"], { cwd: folder }).catch((error: { stdout: string }) => {
    throw new Error(error.stdout)
  })
  const { stdout } = await run(process.execPath, ["--no-warnings", file.replace("ts", "js")], { cwd: folder })
  return stdout
}

test.each(["main.mts", "main.cts"])("TypeScript as %s compiles and runs", async (file) => {
  expect(await runCompiled(file)).toBe("unknown true function object\n")
}, 60_000)

test("a bundler makes one file that runs", async () => {
  await writeFile(join(app, "bundled.ts"), source)
  const outfile = join(app, "bundled.mjs")
  await build({ entryPoints: [join(app, "bundled.ts")], bundle: true, platform: "node", format: "esm", outfile })
  const { stdout } = await run(process.execPath, [outfile], { cwd: app })
  expect(stdout).toBe("unknown true function object\n")
}, 60_000)

test("the React entry is marked for frameworks with server components", async () => {
  const entry = await readFile(join(app, "node_modules", "@watchword", "client", "dist", "react.js"), "utf8")
  expect(entry.startsWith('"use client"')).toBe(true)
})

test.each(["admin", "client", "verify"])("the README of @watchword/%s has no relative links", async (name) => {
  const text = await readFile(join(app, "node_modules", "@watchword", name, "README.md"), "utf8")
  expect(text.match(/\]\((?!https:|#)[^)]*\)/g)).toBe(null)
})
