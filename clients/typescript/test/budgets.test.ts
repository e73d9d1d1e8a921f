// Functions and lines of all clients and examples have the limits of the Go code (house_test.go in the root).
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"

const maxFunctionLines = 60
const maxLineLength = 120
const root = fileURLToPath(new URL("../../..", import.meta.url))

/**
 * Relies on the indentation. A function ends at the first line that begins with a brace, is indented like the
 * function's first line, and does not continue the parameters.
 */
function faultsIn(name: string, source: string): string[] {
  const lines = source.split("\n")
  return lines.flatMap((line, index) => {
    const faults: string[] = []
    if (line.length > maxLineLength) faults.push(`${name}:${index + 1}: the line has ${line.length} characters`)
    const length = isFunctionStart(line) ? blockLength(lines, index) : 0
    if (length > maxFunctionLines) faults.push(`${name}:${index + 1}: the function has ${length} lines`)
    return faults
  })
}

function isFunctionStart(line: string): boolean {
  if (/^\s*(\/\/|\*|if|for|while|switch|catch|return\b.*=> \{.*\})/.test(line)) return false
  const isFunction = /\bfunction\b.*\($|\bfunction\b.*\{$|=> \{$/.test(line)
  const isMethod = /^\s+((async|private|static|get|set) )*[\w#]+(<[^(]*>)?\(.*\{$/.test(line)
  return isFunction || isMethod
}

function blockLength(lines: string[], start: number): number {
  const indentation = /^\s*/.exec(lines[start] ?? "")?.[0] ?? ""
  const end = lines.findIndex(
    (line, index) => index > start && line.startsWith(`${indentation}}`) && !line.endsWith("{"),
  )
  return end - start + 1
}

/** Returns the paths of all source files in the folder, without dependencies and build output. */
function sourcesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return /^(\.|node_modules$|dist$|build$)/.test(entry.name) ? [] : sourcesIn(path)
    return /\.(ts|tsx|js|svelte)$/.test(entry.name) ? [path] : []
  })
}

test.each([
  ["clients/typescript", 60],
  ["clients/verify", 20],
  ["clients/admin", 8],
  ["examples", 70],
])("functions and lines of %s stay within their limits", (folder, atLeast) => {
  const names = sourcesIn(folder)
  expect(names.length).toBeGreaterThan(atLeast)
  expect(names.flatMap((name) => faultsIn(name, readFileSync(join(root, name), "utf8")))).toEqual([])
})

test.each([
  "function f() {",
  "export async function f<T>({ a, b }: Options): Promise<T> {",
  "export function f<T>(",
  "export default function Form({",
  "const f = async (): Promise<void> => {",
  'test("a name", async () => {',
  "  async fetch(input, init = {}) {",
  "  private async answer(request: IncomingMessage): Promise<void> {",
])("the check finds a long function that begins with %s", (start) => {
  const indentation = start.startsWith(" ") ? "  " : ""
  const body = (length: number): string[] => Array<string>(length - 2).fill("    x()")
  const ofLength = (length: number): string => [start, ...body(length), `${indentation}}`].join("\n")
  expect(faultsIn("a.ts", ofLength(60))).toEqual([])
  expect(faultsIn("a.ts", ofLength(61))).toEqual(["a.ts:1: the function has 61 lines"])
})

test("the check counts the lines of parameters and their type", () => {
  const form = ["function Form({", "  name,", "}: {", "  name: string", "}) {", ...Array<string>(56).fill("  x()"), "}"]
  expect(faultsIn("a.tsx", form.join("\n"))).toEqual(["a.tsx:1: the function has 62 lines"])
})

test("the check finds a long line", () => {
  expect(faultsIn("a.ts", "x".repeat(120))).toEqual([])
  expect(faultsIn("a.ts", `// one\n${"x".repeat(121)}`)).toEqual(["a.ts:2: the line has 121 characters"])
})
