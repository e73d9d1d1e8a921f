// Sessions in programs that render pages on a server (Next.js, SvelteKit, Nuxt, Express).
//
//  1. A short-lived access token is in an HttpOnly cookie of the application. The application
//     verifies it locally, so a page of a signed-in user needs no request to Watchword.
//  2. A stale token is refreshed only where cookies can be set. A component that can't set cookies
//     would lose the new refresh token. The browser would then send the old refresh token again, as
//     a thief would.
//  3. Requests with the same refresh token share one refresh. This includes requests that the
//     browser sends before it receives the new token.
//  4. User agent and address of the browser are forwarded: Watchword compares the user agent
//     after a lost response, and counts limits by address.
//  5. Four error codes of the server end the session. After all other errors, the cookies stay.

import type {
  Challenge,
  Credentials,
  FactorAnswer,
  FactorLogin,
  MeAnswer,
  Message,
  Metadata,
  Provider,
  ProvidersAnswer,
  Registration,
  SignIn,
  TOTPEnrolment,
  User,
  UserAnswer,
} from "./api.js"
import { attemptError, startAttempt, takeAttempt } from "./appattempt.js"
import { createAppEnrolment } from "./appenrolment.js"
import type { ChallengeCode } from "./challenge.js"
import type { CookieContext } from "./cookiejar.js"
import { createCookies, type AppCookies } from "./cookies.js"
import { WatchwordError, type WatchwordErrorCode } from "./error.js"
import { createExchange, type Exchange } from "./exchange.js"
import { jsonRequest, readJSON, send, type Fetch, type Transport } from "./transport.js"
import { warningFetch } from "./warnings.js"

export type { CookieContext, CookieOptions } from "./cookiejar.js"
export { WatchwordError } from "./error.js"
export type { FieldError, WatchwordErrorCode } from "./error.js"
export type {
  Challenge,
  FactorAnswer,
  FactorLogin,
  Metadata,
  Provider,
  TOTPEnrolment,
  User,
  UserAnswer,
} from "./api.js"

/** Verifies access tokens, as `new Verifier(issuer)` of `@watchword/verify` does. It throws for an invalid token. */
export interface TokenVerifier<I extends TokenIdentity = TokenIdentity> {
  verify(token: string): Promise<I>
}

/** The claims of a verified token that this module uses. Times are in Unix seconds. */
export interface TokenIdentity {
  readonly subject: string
  readonly sessionId: string
  readonly roles: readonly string[]
  readonly expiresAt: number
  readonly issuedAt?: number
}

export interface ServerAuthOptions<I extends TokenIdentity> {
  /** The public URL of Watchword, which rejects requests with a different Host. */
  baseUrl: string
  /** The public origin of the application, such as "https://app.example.com". */
  origin: string
  verifier: TokenVerifier<I>
  /**
   * The cookie with the refresh token. "own" (default): a cookie of the application. A name:
   * Watchword's own cookie of that name. The browser must send it to the application too, because
   * both have one origin or share `cookie-domain`.
   */
  refreshCookie?: "own" | (string & {})
  /** Origins that receive the access token from `fetch`, in addition to the origin of baseUrl. */
  origins?: readonly string[]
  /** Milliseconds until a request fails with TIMEOUT. Default: 10 000. */
  timeout?: number
  fetch?: Fetch
  /** Receives a warning about the configuration. Default: console.warn. */
  warn?: (message: string) => void
}

/** One request of a browser to the application. */
export interface RequestContext extends CookieContext {
  /** The browser's User-Agent header. */
  userAgent?: string | null | undefined
  /** The client IP of the browser. Watchword uses it if this program is in its `trusted-proxies`. */
  address?: string | null | undefined
}

/** The session of one request. */
export interface RequestAuth<I extends TokenIdentity> {
  /**
   * Returns the signed-in identity, or undefined for a visitor. Where cookies can be set, it
   * refreshes a stale token first. It throws NETWORK, TIMEOUT or TRY_LATER if it can't check
   * the session: respond with 503, because the user may still be signed in.
   */
  session(): Promise<I | undefined>
  /**
   * Returns the identity. Throws TOKEN_MISSING for a visitor, and TOKEN_EXPIRED if the token has expired and cookies
   * can't be set.
   */
  requireSession(): Promise<I>
  /**
   * The global fetch with the access token, for the origins of the options. A request to Watchword
   * also has the browser's user agent and address.
   */
  fetch(input: string | URL, init?: RequestInit): Promise<Response>
  /** Reads the account of the session, with its public metadata. M is the type of the metadata. */
  me<M extends object = Metadata>(): Promise<User & { metadata: M }>
  /**
   * Signs in. If the account has a second factor, it throws SECOND_FACTOR_REQUIRED, and a cookie
   * keeps the `challenge`. Redirect to a page that asks for a proof, and call loginFactor there. If
   * the account must have a factor and lacks it, it throws ENROLMENT_REQUIRED: see `enrolment`.
   * Like every other sign-in and logout, it needs cookies that can be set.
   */
  login(body: Credentials): Promise<UserAnswer>
  /** Returns how to continue the sign-in that waits for a second factor in this browser, if there is one. */
  challenge(): Challenge | undefined
  /**
   * Completes the sign-in that waits for a second factor. After FACTOR_WRONG or RATE_LIMITED, ask again. After
   * CHALLENGE_INVALID, start with login. If the challenge has `rememberFor`, `rememberDevice` skips the factor at
   * later sign-ins in this browser.
   */
  loginFactor(body: FactorLogin): Promise<UserAnswer>
  /**
   * Returns the challenge of a sign-in that waits for its first factor in this browser, if there is
   * one. `methods` are the factors that the server accepts, "totp" and "passkey".
   */
  enrolment(): Challenge | undefined
  /**
   * Creates a secret for an authenticator app. Call it in an action, not while a page renders. A page can be
   * reloaded, but one sign-in allows only five calls.
   */
  beginTOTP(): Promise<TOTPEnrolment>
  /**
   * Adds the app with the code that it shows, and completes the sign-in. Show `recoveryCodes`,
   * because the server does not return them again. It throws as loginFactor does.
   */
  confirmTOTP(id: string, body: { code: string }): Promise<UserAnswer & FactorAnswer>
  register(body: Registration): Promise<UserAnswer | Message>
  /** Lists the external providers, for buttons. Without providers, the list is empty. */
  providers(): Promise<Provider[]>
  /**
   * Begins a sign-in with an external provider, and returns the URL to redirect the browser to.
   * `returnTo` is the path of the application that calls finishSignInWith. The application's
   * origin must be in Watchword's `allowed-origins`. Like finishSignInWith, it needs cookies that can be set.
   */
  signInWith(provider: string, returnTo: string): Promise<string>
  /**
   * Completes a sign-in with an external provider. `url` is the URL of the request to `returnTo`. It
   * throws SECOND_FACTOR_REQUIRED and ENROLMENT_REQUIRED as login does. After LINK_REQUIRED, let the
   * user sign in to the account as usual in this browser, which connects the provider. Always
   * redirect afterwards, so that the code does not stay in the history.
   */
  finishSignInWith(url: string | URL): Promise<UserAnswer>
  /** Ends the session, or with `everywhere` all sessions of the user. */
  logout(options?: { everywhere?: boolean }): Promise<void>
}

/** Returns a function that creates the session of a request. Call createServerAuth once per application. */
export function createServerAuth<I extends TokenIdentity>(
  options: ServerAuthOptions<I>,
): (request: RequestContext) => RequestAuth<I> {
  const shared = createShared(options)
  return (request) => createRequestAuth(shared, request)
}

interface Shared<I extends TokenIdentity> {
  verifier: TokenVerifier<I>
  exchange: Exchange
  transport: Transport
  apiUrl: string
  origin: string
  origins: ReadonlySet<string>
  isOwn: boolean
  createCookies(request: RequestContext): AppCookies
  headersOf(request: RequestContext, more?: Record<string, string>): Record<string, string>
}

function createShared<I extends TokenIdentity>(options: ServerAuthOptions<I>): Shared<I> {
  const { baseUrl, origin, verifier, refreshCookie = "own", timeout = 10_000, warn = console.warn } = options
  if (new URL(origin).origin !== origin) throw new TypeError(`origin is ${origin}: write scheme and host only`)
  const base = new URL(baseUrl)
  const fetch: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, { ...init, cache: "no-store" }))
  const apiUrl = `${base.href.replace(/\/+$/, "")}/api/auth`
  const transport = { fetch: warningFetch(fetch, { apiUrl, refreshCookie, warn }), timeout }
  const headersOf: Shared<I>["headersOf"] = ({ userAgent, address }, more) => ({
    Origin: origin, // Watchword rejects a refresh cookie without an origin
    "User-Agent": userAgent || "unknown",
    ...(address && { "X-Forwarded-For": address }),
    ...more,
  })
  return {
    verifier,
    exchange: createExchange({ apiUrl, transport, refreshCookie }),
    transport,
    apiUrl,
    origin,
    origins: new Set([base.origin, ...(options.origins ?? [])]),
    isOwn: refreshCookie === "own",
    createCookies: (request) => createCookies(request, origin.startsWith("https:"), refreshCookie),
    headersOf,
  }
}

/**
 * Returns how many milliseconds before its expiry a token is refreshed: 30 seconds, but at most a fifth of its
 * lifetime. Otherwise, a token with a lifetime of 30 seconds would be refreshed at each request.
 */
function refreshMargin({ issuedAt, expiresAt }: TokenIdentity): number {
  return issuedAt === undefined ? 30_000 : Math.min(30_000, (expiresAt - issuedAt) * 200)
}

/** The session of a request, looked up once for all components of a render. */
interface Lookup<I extends TokenIdentity> {
  current(): Promise<Found<I>>
  required(): Promise<{ token: string; identity: I }>
  /** Replaces the session of the lookup by the new session after a sign-in, or by {} after a sign-out. */
  replace(found: Found<I>): void
}

function createLookup<I extends TokenIdentity>(
  { verifier, exchange, headersOf }: Shared<I>,
  request: RequestContext,
  cookies: AppCookies,
): Lookup<I> {
  let known: Promise<Found<I>> | undefined

  async function find(): Promise<Found<I>> {
    const token = cookies.access()
    const identity = token ? await verifyOrUndefined(verifier, token) : undefined
    const valid = token && identity ? { token, identity } : undefined
    const isFresh = valid && valid.identity.expiresAt * 1000 - Date.now() > refreshMargin(valid.identity)
    if (isFresh || (valid && !cookies.canSet)) return valid
    const refreshToken = cookies.refresh()
    if (!refreshToken) return valid ?? {}
    if (!cookies.canSet) return { isStale: true }
    return refreshIntoCookies(refreshToken).catch((error: unknown) => {
      if (valid) return valid // the stale token has not expired, so it still works
      throw error
    })
  }

  /** Refreshes the session and stores its new tokens in cookies. If the session has ended, it clears the cookies. */
  async function refreshIntoCookies(refreshToken: string): Promise<Found<I>> {
    const outcome = await exchange(refreshToken, headersOf(request))
    if ("ended" in outcome) {
      cookies.clear(outcome.setCookies)
      return {}
    }
    const { accessToken: token } = outcome.response
    try {
      const identity = await verifier.verify(token)
      cookies.save(outcome.response, outcome.setCookies)
      return { token, identity }
    } catch (error) {
      if ((error as { code?: unknown }).code === "SESSION_ENDED") {
        cookies.clear([]) // the session ended after the shared refresh
        return {}
      }
      cookies.save(outcome.response, outcome.setCookies) // the new refresh token has replaced the old one
      throw error
    }
  }

  const current = (): Promise<Found<I>> => (known ??= find())
  return {
    current,
    async required() {
      const { token, identity, isStale } = await current()
      if (token && identity) return { token, identity }
      const code: WatchwordErrorCode = isStale ? "TOKEN_EXPIRED" : "TOKEN_MISSING"
      const message = isStale ? "The access token must be refreshed where cookies can be set." : "Sign in first."
      throw new WatchwordError(code, message, { status: 401 })
    },
    replace: (found) => void (known = Promise.resolve(found)),
  }
}

function createRequestAuth<I extends TokenIdentity>(shared: Shared<I>, request: RequestContext): RequestAuth<I> {
  const { transport, headersOf, apiUrl, origins } = shared
  const cookies = shared.createCookies(request)
  const lookup = createLookup(shared, request, cookies)

  async function authorized(input: string | URL, init: RequestInit = {}): Promise<Response> {
    const { origin } = new URL(input)
    if (!origins.has(origin)) {
      const message = `The access token is not sent to ${origin}. To allow it, add the origin to the option origins.`
      throw new WatchwordError("CROSS_ORIGIN", message)
    }
    const headers = new Headers(init.headers)
    if (origin === new URL(apiUrl).origin) {
      for (const [name, value] of Object.entries(headersOf(request))) headers.set(name, value)
    }
    headers.set("Authorization", `Bearer ${(await lookup.required()).token}`)
    return send(transport, input, { ...init, headers }, (response) => response)
  }
  const signIn = createSignIn(shared, request, cookies, lookup)
  return {
    session: async () => (await lookup.current()).identity,
    requireSession: async () => (await lookup.required()).identity,
    fetch: authorized,
    async me<M extends object>() {
      const { user, metadata } = await readJSON<MeAnswer<M>>(await authorized(`${apiUrl}/me`))
      return { ...user, metadata }
    },
    login: async (body) => ({ user: (await signIn<SignIn>("login", body)).user }),
    challenge: () => cookies.challenge("SECOND_FACTOR_REQUIRED"),
    loginFactor: async (body) => ({ user: (await signIn<SignIn>("login/factor", body)).user }),
    async register(body) {
      const result = await signIn<SignIn | Message>("register", body)
      return "user" in result ? { user: result.user } : result
    },
    ...createAppEnrolment(cookies, signIn),
    ...createSignInWith(shared, request, cookies, signIn),
    logout: (options) => logout(shared, request, cookies, lookup, options),
  }
}

export type SignInRequest = <T extends object>(path: string, body: object) => Promise<T>

/**
 * Returns a function that sends a sign-in and stores the tokens of the response in cookies of the application.
 * Watchword returns the tokens in cookies, because it recognizes a known device only by cookies.
 */
function createSignIn<I extends TokenIdentity>(
  shared: Shared<I>,
  request: RequestContext,
  cookies: AppCookies,
  lookup: Lookup<I>,
): SignInRequest {
  const { verifier, transport, apiUrl, headersOf } = shared
  function refused(error: unknown, setCookies: readonly string[]): void {
    if (!(error instanceof WatchwordError)) return
    if (error.challenge) cookies.keepChallenge(error.code as ChallengeCode, error.challenge, setCookies)
    else if (error.code === "LINK_REQUIRED") cookies.keepLink(setCookies)
    else if (error.code === "CHALLENGE_INVALID") cookies.endChallenge(setCookies)
  }
  return async (path, body) => {
    if (!cookies.canSet) throw new TypeError(`${path} needs a context with setCookie`)
    const deviceToken = path === "login" ? cookies.device() : undefined
    const init = jsonRequest("POST", { ...body, ...(deviceToken && { deviceToken }) })
    const cookie = cookies.forwarded()
    const more = { ...(init.headers as Record<string, string>), ...(cookie && { Cookie: cookie }) }
    const sent = { ...init, headers: headersOf(request, more) }
    const replaced = cookies.refresh()
    const result = await send(transport, `${apiUrl}/${path}`, sent, async (response) => {
      const setCookies = response.headers.getSetCookie()
      const result = await readJSON<SignIn | object>(response).catch((error: unknown) => {
        refused(error, setCookies)
        throw error
      })
      if ("accessToken" in result) {
        cookies.save(result, setCookies)
        lookup.replace({ token: result.accessToken, identity: await verifier.verify(result.accessToken) })
      }
      return result
    })
    if ("accessToken" in result && replaced) await endReplacedSession(shared, request, replaced)
    return result as never
  }
}

/**
 * Ends the old session when a sign-in replaces it in the browser, because the browser then loses the old refresh
 * token. If this token is in Watchword's own cookie, Watchword ends the old session itself. A failure is ignored: the
 * old session stays in the user's list, and the new session is valid.
 */
async function endReplacedSession<I extends TokenIdentity>(
  { transport, apiUrl, headersOf, isOwn }: Shared<I>,
  request: RequestContext,
  refreshToken: string,
): Promise<void> {
  if (!isOwn) return
  const init = jsonRequest("POST", { refreshToken })
  const headers = headersOf(request, init.headers as Record<string, string>)
  await send(transport, `${apiUrl}/logout`, { ...init, headers }, readJSON).catch(() => {})
}

/** See appattempt.ts. */
function createSignInWith<I extends TokenIdentity>(
  { transport, apiUrl, origin, headersOf }: Shared<I>,
  request: RequestContext,
  cookies: AppCookies,
  signIn: SignInRequest,
): Pick<RequestAuth<I>, "providers" | "signInWith" | "finishSignInWith"> {
  const root = apiUrl.replace(/\/api\/auth$/, "")
  return {
    async providers() {
      const init = { headers: headersOf(request) }
      try {
        return (await send(transport, `${apiUrl}/providers`, init, readJSON<ProvidersAnswer>)).providers
      } catch (error) {
        if (error instanceof WatchwordError && error.code === "NOT_FOUND") return [] // no provider is configured
        throw error
      }
    },
    async signInWith(provider, returnTo) {
      if (!cookies.canSet) throw new TypeError("signInWith needs a context with setCookie")
      const target = new URL(returnTo, origin)
      if (target.origin !== origin) throw new TypeError(`returnTo is ${returnTo}: name a path of this application`)
      return startAttempt(cookies, { root, provider, returnTo: target })
    },
    async finishSignInWith(url) {
      if (!cookies.canSet) throw new TypeError("finishSignInWith needs a context with setCookie")
      const { code, verifier, isOurs } = takeAttempt(cookies, new URL(url, origin).searchParams)
      try {
        return { user: (await signIn<SignIn>("exchange", { code, verifier })).user }
      } catch (error) {
        throw isOurs ? error : attemptError("CHALLENGE_INVALID")
      }
    },
  }
}

/** Ends the session. Only `everywhere` needs a valid access token. Signing out twice is not an error. */
async function logout<I extends TokenIdentity>(
  { transport, apiUrl, headersOf, isOwn }: Shared<I>,
  request: RequestContext,
  cookies: AppCookies,
  lookup: Lookup<I>,
  { everywhere = false } = {},
): Promise<void> {
  const token = everywhere ? (await lookup.required()).token : cookies.access()
  const refreshToken = cookies.refresh()
  let setCookies: string[] = []
  if (token || refreshToken) {
    const init = jsonRequest("POST", isOwn && refreshToken && !everywhere ? { refreshToken } : {})
    const authorization: Record<string, string> =
      token && (everywhere || !refreshToken) ? { Authorization: `Bearer ${token}` } : {}
    const cookie: Record<string, string> = isOwn ? {} : { Cookie: cookies.forwarded() }
    const headers = headersOf(request, { ...(init.headers as Record<string, string>), ...authorization, ...cookie })
    setCookies = await send(
      transport,
      `${apiUrl}/${everywhere ? "logout-all" : "logout"}`,
      { ...init, headers },
      async (response) => {
        await readJSON(response)
        return response.headers.getSetCookie()
      },
    )
  }
  cookies.clear(setCookies)
  lookup.replace({})
}

interface Found<I> {
  token?: string
  identity?: I
  /** Whether there is a refresh token, but neither a valid access token nor a way to store a new one. */
  isStale?: boolean
}

/** Returns the identity, or undefined for an invalid token. Throws TRY_LATER if the verifier can't check tokens now. */
async function verifyOrUndefined<I extends TokenIdentity>(
  verifier: TokenVerifier<I>,
  token: string,
): Promise<I | undefined> {
  try {
    return await verifier.verify(token)
  } catch (error) {
    if ((error as { code?: unknown }).code === "TRY_LATER") {
      throw new WatchwordError("TRY_LATER", "Access tokens can't be verified right now.", {
        status: 503,
        cause: error,
      })
    }
    return undefined
  }
}
