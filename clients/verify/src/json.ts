// Rejects duplicate names in JSON. JSON.parse uses the last of two members with one name,
// and another parser may use the first, so a signed text could have two meanings.

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/**
 * Returns the members of a JSON object with their raw values. undefined: the text is not an object, or has a name
 * twice.
 */
export function parseMembers(json: string): Map<string, string> | undefined {
  if (!isObject(json)) return undefined
  const found = new Map<string, string>()
  let i = skipBlanks(json, skipBlanks(json, 0) + 1)
  while (json[i] !== "}") {
    const nameEnd = valueEnd(json, i)
    const name = JSON.parse(json.slice(i, nameEnd)) as string
    if (found.has(name)) return undefined
    const start = skipBlanks(json, skipBlanks(json, nameEnd) + 1)
    const end = valueEnd(json, start)
    found.set(name, json.slice(start, end))
    i = skipBlanks(json, end)
    if (json[i] === ",") i = skipBlanks(json, i + 1)
  }
  return found
}

/**
 * Reports whether the text is a JSON object. The other functions assume valid JSON, so this check must run first.
 */
function isObject(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === "object" && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

function skipBlanks(json: string, i: number): number {
  while (" \t\n\r".includes(json[i] ?? "x")) i++
  return i
}

/** Returns the index after the value that begins at i. */
function valueEnd(json: string, i: number): number {
  if (!'"{['.includes(json[i] ?? "")) {
    while (i < json.length && !" \t\n\r,]}".includes(json[i] ?? "")) i++
    return i
  }
  for (let depth = 0; ; i++) {
    const c = json[i]
    if (c === '"') i = stringEnd(json, i)
    else if (c === "{" || c === "[") depth++
    else if (c === "}" || c === "]") depth--
    else continue
    if (depth === 0) return i + 1
  }
}

/** Returns the index of the closing quote. */
function stringEnd(json: string, i: number): number {
  for (i++; json[i] !== '"'; i++) if (json[i] === "\\") i++
  return i
}

/** Returns the value of a JSON string, or undefined if the raw value is not a string. */
export function parseString(raw: string | undefined): string | undefined {
  return raw?.startsWith('"') ? (JSON.parse(raw) as string) : undefined
}

/** Returns the values of a JSON array of strings, or undefined if the raw value is not such an array. */
export function parseStrings(raw: string | undefined): string[] | undefined {
  if (!raw?.startsWith("[")) return undefined
  const values = JSON.parse(raw) as unknown[]
  return values.every((value) => typeof value === "string") ? values : undefined
}

/** Returns a whole number of seconds above zero with at most 12 digits, or undefined. */
export function parseSeconds(raw: string | undefined): number | undefined {
  return raw !== undefined && /^[1-9][0-9]{0,11}$/.test(raw) ? Number(raw) : undefined
}

/** Decodes base64url. It accepts only the canonical encoding of valid UTF-8. */
export function decodeText(segment: string): string | undefined {
  const bytes = decodeBase64url(segment)
  try {
    return bytes && utf8.decode(bytes)
  } catch {
    return undefined
  }
}

/** Accepts only the canonical, unpadded form (RFC 7515, section 2). Returns undefined for empty text. */
export function decodeBase64url(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, "base64url")
  return bytes.length > 0 && bytes.toString("base64url") === segment ? bytes : undefined
}
