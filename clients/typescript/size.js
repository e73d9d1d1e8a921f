// Prints the bundle sizes of the client, and fails if one exceeds its limit.
import { gzipSync } from "node:zlib"
import { build } from "esbuild"

// A page that imports another entry also imports the client, so each size below includes the client.
const client = 'export { createClient, WatchwordError } from "./src/index.js"\n'
const bundles = {
  "@watchword/client": [6 * 1024, 'export * from "./src/index.js"'],
  "with passkeys": [9 * 1024, `${client} export { createPasskeys } from "./src/factors.js"`],
  "with all of @watchword/client/factors": [9.5 * 1024, `${client} export * from "./src/factors.js"`],
}
for (const [name, [limit, contents]] of Object.entries(bundles)) {
  const stdin = { contents, resolveDir: import.meta.dirname, loader: "ts" }
  const options = { bundle: true, minify: true, format: "esm", target: "es2022", write: false }
  const { outputFiles } = await build({ stdin, ...options })
  const minified = outputFiles[0].contents
  const size = gzipSync(minified, { level: 9 }).length
  console.log(`${name}: ${minified.length} bytes minified, ${size} gzipped; the limit is ${limit}`)
  if (size >= limit) process.exitCode = 1
}
