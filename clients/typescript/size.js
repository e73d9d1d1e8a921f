// Prints the bundle size of the client, and fails if it exceeds the limit.
import { gzipSync } from "node:zlib"
import { build } from "esbuild"

const limit = 6 * 1024
const { outputFiles } = await build({ entryPoints: ["src/index.ts"], bundle: true, minify: true, format: "esm", target: "es2022", write: false })
const minified = outputFiles[0].contents
const size = gzipSync(minified, { level: 9 }).length
console.log(`@watchword/client: ${minified.length} bytes minified, ${size} gzipped; the limit is ${limit}`)
if (size >= limit) process.exitCode = 1
