// The browser's side of a passkey: navigator.credentials, and the conversion from and to JSON.
//
// A browser allows one request for a passkey at a time. A new request of this page aborts the earlier request. The
// caller of the earlier request gets `replaced: true`.

import { within } from "./clock.js"
import { WatchwordError, type WatchwordErrorCode } from "./error.js"

/** The options of a ceremony, as the server sends them. */
export interface Ceremony {
  ceremony?: string
  /** In the JSON format of WebAuthn Level 3. */
  publicKey: object & { rpId?: string; rp?: { id?: string } }
  mediation?: "conditional"
}

/** The response of an authenticator as JSON, or whether another request replaced this one. */
export type Answer = { credential: object } | { credential?: undefined; replaced: boolean }

export interface AskOptions {
  mediation?: "conditional" | undefined
  signal?: AbortSignal | undefined
}

type Static = Omit<typeof PublicKeyCredential, "prototype">

/** Returns the browser's PublicKeyCredential. Older browsers lack some of its functions. */
export function browserPasskeys(): Partial<Static> | undefined {
  return (globalThis as { PublicKeyCredential?: Partial<Static> }).PublicKeyCredential
}

/** `end` aborts the request, and resolves when the browser accepts another one. */
let lastRequest: { end(): Promise<unknown> } | undefined

/** Creates a passkey ("create"), or asks for one ("get"). It throws only WatchwordError. */
export async function askBrowser(
  action: "create" | "get",
  publicKey: object,
  options: AskOptions = {},
): Promise<Answer> {
  if (!browserPasskeys()) throw failure("PASSKEY_UNSUPPORTED")
  const { signal } = options
  const own = new AbortController()
  const abort = (): void => own.abort()
  signal?.addEventListener("abort", abort)
  if (signal?.aborted) abort()
  const before = lastRequest?.end()
  const request = (async () => {
    await before
    return own.signal.aborted ? null : requestPasskey(action, publicKey, options.mediation, own.signal)
  })()
  const settled = request.catch(() => {})
  lastRequest = { end: () => (abort(), within(settled, abortPatience)) }
  try {
    const credential = await request
    if (credential) return { credential: encodeCredential(credential) }
  } catch (cause) {
    const name = String((cause as Partial<Error> | undefined)?.name)
    // Browsers report a cancellation and a timeout with the same error.
    if (!own.signal.aborted && name !== "NotAllowedError" && name !== "AbortError") {
      throw failure(codes[name] ?? "PASSKEY_FAILED", cause)
    }
  } finally {
    signal?.removeEventListener("abort", abort)
  }
  return { replaced: own.signal.aborted && !signal?.aborted }
}

/** Milliseconds to wait for the end of an aborted request. */
const abortPatience = 1000

async function requestPasskey(
  action: "create" | "get",
  publicKey: object,
  mediation: "conditional" | undefined,
  signal: AbortSignal,
): Promise<PublicKeyCredential | null> {
  const request = { publicKey: decodeOptions(action, publicKey), ...(mediation && { mediation }), signal }
  return (await navigator.credentials[action](request as CredentialCreationOptions)) as PublicKeyCredential | null
}

const codes: Record<string, PasskeyCode | undefined> = {
  InvalidStateError: "PASSKEY_EXISTS",
  NotSupportedError: "PASSKEY_UNSUPPORTED",
  ConstraintError: "PASSKEY_UNSUPPORTED",
  SecurityError: "PASSKEY_ORIGIN",
}

type PasskeyCode = Extract<WatchwordErrorCode, `PASSKEY_${string}`>

const messages: Record<PasskeyCode, string> = {
  PASSKEY_UNSUPPORTED: "This browser or device can't use this passkey. Choose another way.",
  PASSKEY_EXISTS: "This device already has a passkey of this account.",
  PASSKEY_ORIGIN: "Passkeys can't be used on this page. Choose another way.",
  PASSKEY_FAILED: "The passkey could not be used. Try again.",
}

function failure(code: PasskeyCode, cause?: unknown): WatchwordError {
  return new WatchwordError(code, messages[code], { cause })
}

type JSONOptions = { id: string }[] | undefined

/** Replaces base64url by bytes. */
function decodeOptions(action: "create" | "get", publicKey: object): object {
  const browser = browserPasskeys()
  const native =
    action === "create"
      ? browser?.parseCreationOptionsFromJSON?.(publicKey as PublicKeyCredentialCreationOptionsJSON)
      : browser?.parseRequestOptionsFromJSON?.(publicKey as PublicKeyCredentialRequestOptionsJSON)
  if (native) return native
  const { challenge, user, allowCredentials, excludeCredentials, ...rest } = publicKey as Record<string, unknown>
  const withIds = (list: JSONOptions): object[] | undefined => list?.map((one) => ({ ...one, id: toBytes(one.id) }))
  const owner = user as { id: string } | undefined
  return {
    ...rest,
    challenge: toBytes(challenge as string),
    ...(owner && { user: { ...owner, id: toBytes(owner.id) } }),
    allowCredentials: withIds(allowCredentials as JSONOptions),
    excludeCredentials: withIds(excludeCredentials as JSONOptions),
  }
}

const byteFields = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]

type Response = Record<string, ArrayBuffer | null | undefined> & { getTransports?(): string[] }

/**
 * Returns a credential as JSON. The credentials of some password managers are not the browser's own objects, so their
 * toJSON throws.
 */
function encodeCredential(credential: PublicKeyCredential): object {
  try {
    const json: unknown = credential.toJSON()
    if (json) return json
  } catch {
  }
  const { id, rawId, type, authenticatorAttachment } = credential
  const response = credential.response as unknown as Response
  const parts: Record<string, unknown> = {}
  for (const name of byteFields) {
    const bytes = response[name]
    if (bytes) parts[name] = toText(bytes)
  }
  if (response.getTransports) parts.transports = response.getTransports()
  return {
    id,
    rawId: toText(rawId),
    type,
    response: parts,
    ...(authenticatorAttachment && { authenticatorAttachment }),
    clientExtensionResults: credential.getClientExtensionResults?.() ?? {},
  }
}

function toBytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0))
}

function toText(bytes: ArrayBuffer): string {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)))
  return text.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")
}
