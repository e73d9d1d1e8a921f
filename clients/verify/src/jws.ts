import { compactVerify } from "jose"
import { decodeBase64url, decodeText, parseMembers, parseString } from "./json.js"
import type { Key } from "./keys.js"

const maxToken = 8192 // bytes

/** A compact JWS (RFC 7515, section 7.1) whose signature is not verified yet. */
export interface ParsedJws {
  token: string
  kid: string
  alg: string
  payload: string
}

/**
 * The header must have exactly `alg`, `kid` and `typ`, so tokens with `crit`, `jwk`, `jku` or `x5u` are rejected.
 * Returns undefined if the format is wrong.
 */
export function parseJws(token: string, typ: string): ParsedJws | undefined {
  const parts = token.split(".")
  if (token.length > maxToken || parts.length !== 3) return undefined
  const [head = "", body = "", signature = ""] = parts
  const header = parseMembers(decodeText(head) ?? "")
  const payload = decodeText(body)
  if (!header || payload === undefined || !decodeBase64url(signature) || header.size !== 3) return undefined
  const [alg, kid, type] = ["alg", "kid", "typ"].map((name) => parseString(header.get(name)))
  if (!alg || !kid || type?.toLowerCase().replace(/^application\//, "") !== typ) return undefined
  return { token, kid, alg, payload }
}

/** The key determines the algorithm, never the token. */
export async function hasValidSignature(parsed: ParsedJws, key: Key): Promise<boolean> {
  if (parsed.alg !== key.alg) return false
  try {
    await compactVerify(parsed.token, key.key, { algorithms: [key.alg] })
    return true
  } catch {
    return false
  }
}
