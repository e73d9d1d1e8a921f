import { compactVerify } from "jose"
import { decode, decodeText, members, text } from "./json.js"
import type { Key } from "./keys.js"

const maxToken = 8192 // bytes

/** A compact JWS (RFC 7515, section 7.1) whose signature is not verified yet. */
export interface Parsed {
  token: string
  kid: string
  alg: string
  payload: string
}

/**
 * Parses a token. The header must have exactly `alg`, `kid` and `typ`, so tokens with `crit`,
 * `jwk`, `jku` or `x5u` are rejected. Returns undefined if the format is wrong.
 */
export function parse(token: string, typ: string): Parsed | undefined {
  const parts = token.split(".")
  if (token.length > maxToken || parts.length !== 3) return undefined
  const [head = "", body = "", signature = ""] = parts
  const header = members(decodeText(head) ?? "")
  const payload = decodeText(body)
  if (!header || payload === undefined || !decode(signature) || header.size !== 3) return undefined
  const [alg, kid, type] = [text(header.get("alg")), text(header.get("kid")), text(header.get("typ"))]
  if (!alg || !kid || type?.toLowerCase().replace(/^application\//, "") !== typ) return undefined
  return { token, kid, alg, payload }
}

/** Reports whether the signature is valid. The key determines the algorithm, never the token. */
export async function hasValidSignature(parsed: Parsed, key: Key): Promise<boolean> {
  if (parsed.alg !== key.alg) return false
  try {
    await compactVerify(parsed.token, key.key, { algorithms: [key.alg] })
    return true
  } catch {
    return false
  }
}
