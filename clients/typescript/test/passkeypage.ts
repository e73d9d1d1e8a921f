// A page with a simulated authenticator, and a fake server. The test sets the server's response for each path.
import { createPasskeys, type Passkeys } from "../src/factors.js"
import { createClient, type Client } from "../src/index.js"
import { Authenticator } from "./authenticator.js"
import { closeAfterTest } from "./browser.js"

const origin = "https://id.example.com"
export const user = {
  id: "u", email: "ada@example.com", emailVerified: true, name: "Ada", roles: [], locale: "", createdAt: "",
}
export const credentials = { email: user.email, password: "seven purple otters" }
const token = `x.${Buffer.from(JSON.stringify({ sid: "s" })).toString("base64url")}.x`
const bytes = Buffer.alloc(32, 7).toString("base64url")
export const request = { challenge: bytes, rpId: "id.example.com", userVerification: "required" }
export const creation = {
  challenge: bytes,
  rp: { id: "id.example.com", name: "Example" },
  user: { id: bytes, name: user.email, displayName: user.name },
  pubKeyCredParams: [{ type: "public-key", alg: -7 }],
}

type Answer = [number, object]

export interface PasskeyPage {
  client: Client
  passkeys: Passkeys
  authenticator: Authenticator
  requestedPaths: string[]
  /** The last body, by path. */
  bodies: Record<string, unknown>
  answers: Record<string, Answer | Promise<Answer>>
  signedIn: Answer
  challenged: Answer
  /** Adds a passkey. Afterwards, `then` is the user's action in dialogs. */
  addPasskey(then?: Authenticator["user"]): Promise<void>
}

export function openPage(): PasskeyPage {
  const requestedPaths: string[] = []
  const bodies: PasskeyPage["bodies"] = {}
  const signedIn: Answer = [200, { user, accessToken: token, tokenType: "Bearer", expiresIn: 900 }]
  const challenge = { methods: ["passkey"], expiresIn: 600, passkey: { publicKey: request } }
  const challenged: Answer = [403, { code: "SECOND_FACTOR_REQUIRED", challenge }]
  const answers: PasskeyPage["answers"] = {
    login: signedIn,
    logout: [200, { message: "" }],
    refresh: signedIn,
    "passkey/options": [200, { ceremony: "c", publicKey: request }],
    "passkey/login": signedIn,
    "step-up/options": [200, { publicKey: request }],
    "step-up": signedIn,
    "login/factor": signedIn,
    "factors/passkeys/options": [200, { ceremony: "c", publicKey: creation }],
    "factors/passkeys": [201, { factor: { id: "f" } }],
  }
  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const path = new URL(String(input)).pathname.replace("/api/auth/", "")
    requestedPaths.push(path)
    if (typeof init?.body === "string") bodies[path] = JSON.parse(init.body)
    const [status, body] = (await answers[path]) ?? [500, {}]
    return new Response(JSON.stringify(body), { status })
  }
  const client = closeAfterTest(createClient({ baseUrl: origin, fetch: fetch as typeof globalThis.fetch }))
  const passkeys = createPasskeys(client)
  const authenticator = new Authenticator(origin, true)
  async function addPasskey(then: Authenticator["user"] = "accepts"): Promise<void> {
    await client.login(credentials)
    await passkeys.add()
    await client.logout()
    authenticator.user = then
  }
  return { client, passkeys, authenticator, requestedPaths, bodies, answers, signedIn, challenged, addPasskey }
}
