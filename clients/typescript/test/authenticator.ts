// Simulates navigator.credentials of a browser with one authenticator: real keys and signatures
// (ES256), CBOR and flags as WebAuthn Level 3 defines them. The test acts as the user.
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto"
import { vi } from "vitest"

interface Passkey {
  id: string
  rpId: string
  userHandle: Buffer
  key: KeyObject
  counter: number
}

/** The action of the user when a dialog opens. */
export type User = "accepts" | "cancels" | "waits"

interface Request {
  publicKey: Options
  mediation?: string
  signal: AbortSignal
}

interface Options {
  challenge: BufferSource
  rpId?: string
  rp?: { id: string }
  user?: { id: BufferSource; name: string; displayName: string }
  pubKeyCredParams?: { alg: number }[]
  allowCredentials?: { id: BufferSource }[]
  excludeCredentials?: { id: BufferSource }[]
}

export class Authenticator {
  readonly passkeys: Passkey[] = []
  user: User = "accepts"
  /** Chooses a passkey that autofill suggests. */
  choose: (passkey?: Passkey) => void = () => {}
  /** The calls of PublicKeyCredential.signal…, by name. */
  readonly signals: [string, unknown][] = []
  open = 0
  /** All requests for passkeys: "create", "get", "get conditional". */
  readonly requests: string[] = []
  private readonly origin: string

  /** `native` is true if this browser has the JSON functions of WebAuthn Level 3. */
  constructor(origin: string, native: boolean) {
    this.origin = origin
    vi.stubGlobal("navigator", { credentials: { create: this.create, get: this.get } })
    const signal = (name: string) => (options: unknown) => Promise.resolve(void this.signals.push([name, options]))
    const jsonFunctions = { parseCreationOptionsFromJSON: parseOptions, parseRequestOptionsFromJSON: parseOptions }
    vi.stubGlobal("PublicKeyCredential", {
      isConditionalMediationAvailable: async () => true,
      getClientCapabilities: async () => ({ conditionalGet: true, conditionalCreate: true }),
      signalUnknownCredential: signal("unknown"),
      signalAllAcceptedCredentials: signal("accepted"),
      signalCurrentUserDetails: signal("details"),
      ...(native && jsonFunctions),
    })
    this.native = native
  }

  private readonly native: boolean

  private readonly create = async (request: Request): Promise<object> => {
    const { publicKey: options, mediation } = request
    this.requests.push(mediation ? `create ${mediation}` : "create")
    const rpId = this.checkedRPID(options.rp?.id)
    if (!options.pubKeyCredParams?.some(({ alg }) => alg === -7)) throw new DOMException("", "NotSupportedError")
    const excluded = (options.excludeCredentials ?? []).map(({ id }) => textOf(id))
    if (this.passkeys.some(({ id }) => excluded.includes(id))) throw new DOMException("", "InvalidStateError")
    if (!mediation) await this.openDialog(request.signal)
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
    const id = randomBytes(32)
    const { x = "", y = "" } = publicKey.export({ format: "jwk" })
    const point = (text: string): Buffer => toCbor(Buffer.from(text, "base64url"))
    // The members of a COSE key: kty EC2, alg ES256, crv P-256, x, y.
    const key = [
      Buffer.from("a5010203262001", "hex"),
      Buffer.from("21", "hex"),
      point(x),
      Buffer.from("22", "hex"),
      point(y),
    ]
    const length = Buffer.from([0, id.length])
    const flags = mediation ? 0x58 : 0x5d // flags BE, BS and AT; after a dialog also UP and UV
    const authData = Buffer.concat([authenticatorData(rpId, flags, 0), Buffer.alloc(16), length, id, ...key])
    const empty = Buffer.from("a0", "hex")
    const attestation = [Buffer.from("a3", "hex"), toCbor("fmt"), toCbor("none"), toCbor("attStmt"), empty]
    const userHandle = bytesOf(options.user?.id)
    this.passkeys.push({ id: id.toString("base64url"), rpId, userHandle, key: privateKey, counter: 0 })
    return this.credential(id, {
      clientDataJSON: this.clientData("webauthn.create", options),
      attestationObject: Buffer.concat([...attestation, toCbor("authData"), toCbor(authData)]),
    })
  }

  private readonly get = async (request: Request): Promise<object> => {
    const { publicKey: options, mediation, signal } = request
    this.requests.push(mediation ? `get ${mediation}` : "get")
    const rpId = this.checkedRPID(options.rpId)
    const allowed = options.allowCredentials?.map(({ id }) => textOf(id))
    const usable = this.passkeys.filter((one) => one.rpId === rpId && (!allowed?.length || allowed.includes(one.id)))
    const chosen = mediation ? await this.suggestion(signal) : await this.openDialog(signal)
    const passkey = chosen ?? usable.at(-1)
    if (!passkey) throw new DOMException("", "NotAllowedError")
    const authData = authenticatorData(rpId, 0x1d, ++passkey.counter)
    const clientDataJSON = this.clientData("webauthn.get", options)
    const signed = Buffer.concat([authData, createHash("sha256").update(clientDataJSON).digest()])
    const signature = sign("sha256", signed, passkey.key)
    const parts = { clientDataJSON, authenticatorData: authData, signature, userHandle: passkey.userHandle }
    return this.credential(Buffer.from(passkey.id, "base64url"), parts)
  }

  private checkedRPID(id: string | undefined): string {
    const { hostname } = new URL(this.origin)
    if (id && id !== hostname && !hostname.endsWith(`.${id}`)) throw new DOMException("", "SecurityError")
    return id ?? hostname
  }

  /** As in Chromium, a second dialog is refused while the first one is open. */
  private async openDialog(signal: AbortSignal): Promise<undefined> {
    if (this.open > 0) throw new DOMException("A request is already pending.", "OperationError")
    if (signal.aborted) throw signal.reason
    this.open++
    try {
      if (this.user === "waits") await aborted(signal)
      if (this.user === "cancels") throw new DOMException("", "NotAllowedError")
    } finally {
      this.open--
    }
  }

  private async suggestion(signal: AbortSignal): Promise<Passkey | undefined> {
    if (this.open > 0) throw new DOMException("A request is already pending.", "OperationError")
    if (signal.aborted) throw signal.reason
    this.open++
    try {
      const chosen = new Promise<Passkey | undefined>((resolve) => (this.choose = resolve))
      return await Promise.race([chosen, aborted(signal)])
    } finally {
      this.open--
    }
  }

  private clientData(type: string, { challenge }: Options): Buffer {
    const data = { type, challenge: textOf(challenge), origin: this.origin, crossOrigin: false }
    return Buffer.from(JSON.stringify(data))
  }

  private credential(rawId: Buffer, parts: Record<string, Buffer>): object {
    const id = rawId.toString("base64url")
    const shared = { id, type: "public-key", authenticatorAttachment: "platform" }
    const getTransports = (): string[] => ["internal", "hybrid"]
    const response = Object.fromEntries(
      Object.entries(parts).map(([name, bytes]) => [name, new Uint8Array(bytes).buffer]),
    )
    const texts = Object.fromEntries(Object.entries(parts).map(([name, bytes]) => [name, bytes.toString("base64url")]))
    const isCreation = "attestationObject" in parts
    const json = {
      ...shared,
      rawId: id,
      response: { ...texts, ...(isCreation && { transports: getTransports() }) },
      clientExtensionResults: {},
    }
    return {
      ...shared,
      rawId: new Uint8Array(rawId).buffer,
      response: { ...response, ...(isCreation && { getTransports }) },
      getClientExtensionResults: () => ({}),
      ...(this.native && { toJSON: () => json }),
    }
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)))
}

function authenticatorData(rpId: string, flags: number, counter: number): Buffer {
  const rest = Buffer.alloc(5)
  rest.writeUInt8(flags)
  rest.writeUInt32BE(counter, 1)
  return Buffer.concat([createHash("sha256").update(rpId).digest(), rest])
}

/** Encodes a text or bytes of less than 64 KB as CBOR. */
function toCbor(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  const major = typeof value === "string" ? 0x60 : 0x40
  const { length } = bytes
  const head =
    length < 24 ? [major | length] : length < 256 ? [major | 24, length] : [major | 25, length >> 8, length & 255]
  return Buffer.concat([Buffer.from(head), bytes])
}

function bytesOf(source: BufferSource | undefined): Buffer {
  if (source instanceof ArrayBuffer) return Buffer.from(source)
  if (!source) throw new TypeError("bytes are missing")
  return Buffer.from(source.buffer, source.byteOffset, source.byteLength)
}

const textOf = (source: BufferSource): string => bytesOf(source).toString("base64url")

/** Decodes each member that has bytes, as the browser's functions do. */
function parseOptions(options: Record<string, unknown>): object {
  const bytes = (text: unknown): ArrayBuffer => new Uint8Array(Buffer.from(text as string, "base64url")).buffer
  const ids = (list: unknown): object[] =>
    ((list ?? []) as { id: string }[]).map((one) => ({ ...one, id: bytes(one.id) }))
  const user = options.user as { id: string } | undefined
  return {
    ...options,
    challenge: bytes(options.challenge),
    ...(user && { user: { ...user, id: bytes(user.id) } }),
    allowCredentials: ids(options.allowCredentials),
    excludeCredentials: ids(options.excludeCredentials),
  }
}
