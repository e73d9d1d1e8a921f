import type {
  Credentials,
  LogoutAllAnswer,
  Message,
  Registration,
  SessionsAnswer,
  SignIn,
  UserAnswer,
  Verification,
} from "./api.js"
import { createAuthorized } from "./authorized.js"
import { now } from "./clock.js"
import { WatchwordError } from "./error.js"
import { createRenewal } from "./renewal.js"
import { createSchedule } from "./schedule.js"
import { createSession, tokenOf, type Listener, type Snapshot } from "./session.js"
import { createTabs } from "./tabs.js"
import { read, request, send, type Fetch, type Wire } from "./transport.js"

/** Keeps the refresh token of a program that is no browser page. It is a secret. */
export interface TokenStorage {
  get(): string | undefined | null | Promise<string | undefined | null>
  set(refreshToken: string): void | Promise<void>
  remove(): void | Promise<void>
  /**
   * Keeps the device token beside it, also after a sign-out: with it, strangers who guess
   * the password can't keep this device from signing in. It grants no access. Default:
   * kept in memory.
   */
  getDevice?(): string | undefined | null | Promise<string | undefined | null>
  setDevice?(deviceToken: string): void | Promise<void>
}

export interface ClientOptions {
  /** Where Watchword is, such as "https://id.example.com". */
  baseUrl: string
  /**
   * Where the refresh token is kept by a native or server program: it then travels in
   * bodies. Default: none; the browser keeps it in a cookie that no script reads.
   */
  storage?: TokenStorage
  /** Other origins that `fetch` may send the access token to. Default: that of baseUrl, and the page's own. */
  origins?: readonly string[]
  /**
   * What the tabs of this origin that share one session have in common. Default: baseUrl
   * with the cookie; with a storage nothing, for one process may hold many sessions.
   */
  shareAs?: string
  /** Milliseconds until a request to Watchword fails with TIMEOUT. Default: 10 000. */
  timeout?: number
  /**
   * The same for `fetch`, until the head of the answer is there. Uploads may want more;
   * Infinity: no limit. Default: 60 000.
   */
  fetchTimeout?: number
  /** Milliseconds to wait for the refresh of another tab. Default: 5 000. */
  lockTimeout?: number
  /** Default: the global one. */
  fetch?: Fetch
}

export interface Client {
  /** Asks whether somebody is signed in: call it when a page loads. */
  restore(): Promise<Snapshot>
  /** What is known, at once. The same object until it changes. */
  getSnapshot(): Snapshot
  /** Calls the listener at each change. Returns what ends that. */
  onChange(listener: Listener): () => void
  /** An access token that is good for now: for what can't go through `fetch`, such as a WebSocket. */
  getAccessToken(): Promise<string>
  /**
   * As the global one, with the access token. It throws if nobody is signed in, or if
   * a fresh token is refused; any other answer is returned.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>
  /** Renews the access token now, whatever its age. */
  refresh(): Promise<Snapshot>
  /** Lets go of timers, listeners and other tabs: for tests, and before another client takes over. */
  close(): void

  /** Signs in at once; or, if the server wants the address verified first, only a mail is sent. */
  register(body: Registration): Promise<UserAnswer | Message>
  login(body: Credentials): Promise<UserAnswer>
  /**
   * Signs out here and in all tabs at once. If it throws, the server could not be told,
   * and the session lives on there: call it again.
   */
  logout(): Promise<void>
  /** Ends all sessions of the user, or all but this. */
  logoutAll(body?: { keepCurrent?: boolean }): Promise<LogoutAllAnswer>
  me(): Promise<UserAnswer>
  updateMe(body: { name: string }): Promise<UserAnswer>
  deleteMe(body: { password: string }): Promise<Message>
  sessions(): Promise<SessionsAnswer>
  endSession(id: string): Promise<Message>
  /** Has a mail sent to choose a new password. The answer is the same whether there is an account. */
  forgot(body: { email: string }): Promise<Message>
  reset(body: { token: string; password: string }): Promise<Message>
  changePassword(body: { currentPassword: string; newPassword: string }): Promise<Message>
  /**
   * Confirms the address. It sends the access token, if there is one; otherwise, or if that
   * is of another account, it throws PASSWORD_REQUIRED: ask for the password, and call it
   * again with it. A password signs in, and the answer is the user.
   */
  verifyEmail(body: Verification): Promise<UserAnswer | Message>
  resendVerification(body: { email: string }): Promise<Message>
  changeEmail(body: { newEmail: string; password: string }): Promise<Message>
  /** As verifyEmail; the password is the account's, and signs nobody in. */
  confirmEmail(body: { token: string; password?: string }): Promise<Message>
  undoEmail(body: { token: string }): Promise<Message>
}

/** Makes a client. It asks nobody anything until it is used. */
export function createClient(options: ClientOptions): Client {
  const { storage } = options
  const page = globalThis.location?.origin
  const base = new URL(options.baseUrl, page)
  const root = base.href.replace(/\/+$/, "")
  const wire: Wire = {
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    timeout: options.timeout ?? 10_000,
  }
  const slowWire: Wire = { ...wire, timeout: options.fetchTimeout ?? 60_000 }
  const shareAs = options.shareAs ?? (storage ? undefined : root)
  const session = createSession()
  const tabs = createTabs({ name: shareAs && `watchword:${shareAs}`, patience: options.lockTimeout ?? 5000, session })
  const renewal = createRenewal({ session, tabs, ask, forget: async () => storage?.remove(), settled: () => schedule.arm() })
  const schedule = createSchedule({ session, renewal, tabs })
  const authorized = createAuthorized({
    session,
    renewal,
    origins: new Set([base.origin, ...(page ? [page] : []), ...(options.origins ?? [])]),
  })
  let closed = false
  let device: string | undefined // where the storage keeps none

  const url = (path: string): string => `${root}/api/auth/${path}`

  /** The cookie goes along only if it is what we use; not every runtime knows the word. */
  const withCredentials = (init: RequestInit): RequestInit =>
    storage ? (page ? { ...init, credentials: "omit" } : init) : { ...init, credentials: "include" }

  const call = <T>(path: string, init: RequestInit): Promise<T> => send(wire, url(path), withCredentials(init), read<T>)

  function open(): void {
    if (closed) return
    tabs.open()
    schedule.start()
  }

  /** A request to our API as the user. */
  function as<T>(method: string, path: string, body?: object): Promise<T> {
    open()
    return authorized(wire, url(path), withCredentials(request(method, body)), read<T>)
  }

  function post<T>(path: string, body: object, token?: string): Promise<T> {
    const init = request("POST", body)
    if (token) init.headers = { ...init.headers, Authorization: `Bearer ${token}` }
    return call(path, init)
  }

  async function ask(era: AbortSignal): Promise<SignIn | undefined> {
    const refreshToken = await storage?.get()
    if (storage && !refreshToken) return undefined
    const answer = await call<SignIn>("refresh", { ...request("POST", storage && { refreshToken }), signal: era })
    if (storage && answer.refreshToken && !era.aborted) await storage.set(answer.refreshToken)
    return answer
  }

  /** The device token for a login, if there is one. The cookie does this for a browser page. */
  async function known(): Promise<{ deviceToken?: string }> {
    const deviceToken = storage && ((await storage.getDevice?.()) ?? device)
    return deviceToken ? { deviceToken } : {}
  }

  async function remember(deviceToken: string | undefined): Promise<void> {
    if (!storage || !deviceToken) return
    device = deviceToken
    await storage.setDevice?.(deviceToken)
  }

  /** Signing in waits for a refresh under way, whose cookie would take the place of ours. */
  function signIn<T extends SignIn | Message>(path: string, body: object, token?: string): Promise<T> {
    open()
    return tabs.alone(async () => {
      const sent = now()
      const answer = await post<T>(path, storage ? { ...body, delivery: "body" } : body, token)
      if ("accessToken" in answer) {
        if (storage && answer.refreshToken) await storage.set(answer.refreshToken)
        await remember(answer.deviceToken)
        renewal.calm()
        session.signedIn(tokenOf(answer, sent), answer.user)
        tabs.tellToken()
      }
      return answer
    })
  }

  /** The access token if there is one. Without it, the server says what is missing. */
  async function tokenIfAny(): Promise<string | undefined> {
    open()
    if (!session.token && !storage) return undefined // a cookie goes along by itself
    return (await renewal.fresh().catch(() => undefined))?.value
  }

  function signedOut(): void {
    const sid = session.token?.sid
    session.signedOut()
    tabs.tellSignedOut(sid)
  }

  async function leave(): Promise<void> {
    signedOut()
    await storage?.remove()
  }

  /** Shows the user as the server has it now, if it is still the same. */
  function show(answer: UserAnswer): UserAnswer {
    if (session.token && session.snapshot.user?.id === answer.user.id) {
      session.renewed(session.token, answer.user)
      tabs.tellToken()
    }
    return answer
  }

  async function refresh(): Promise<Snapshot> {
    open()
    await renewal.renew()
    return session.snapshot
  }

  return {
    restore: async () => (session.snapshot.status === "unknown" ? refresh() : session.snapshot),
    refresh,
    getSnapshot: () => session.snapshot,
    onChange: session.onChange,
    async getAccessToken() {
      open()
      return (await renewal.fresh()).value
    },
    async fetch(input, init = {}) {
      open()
      return authorized(slowWire, input, init, (response) => response)
    },
    close() {
      closed = true
      schedule.stop()
      tabs.close()
    },

    async register(body) {
      const answer = await signIn<SignIn | Message>("register", body)
      return "user" in answer ? { user: answer.user } : answer
    },
    async login(body) {
      return { user: (await signIn<SignIn>("login", { ...body, ...(await known()) })).user }
    },
    async logout() {
      open()
      const { token } = session
      signedOut() // at once: a refresh under way is dropped
      const refreshToken = await storage?.get()
      const init = request("POST", refreshToken ? { refreshToken } : undefined)
      if (token) init.headers = { ...init.headers, Authorization: `Bearer ${token.value}` }
      try {
        await call("logout", init)
      } catch (error) {
        // To sign out twice is no error.
        if (!(error instanceof WatchwordError) || error.code !== "NETWORK") throw error
        await call("logout", init)
      }
      if (refreshToken === (await storage?.get())) await storage?.remove()
    },
    async logoutAll(body = {}) {
      const answer = await as<LogoutAllAnswer>("POST", "logout-all", body)
      if (!body.keepCurrent) await leave()
      return answer
    },
    me: async () => show(await as("GET", "me")),
    updateMe: async (body) => show(await as("PATCH", "me", body)),
    async deleteMe(body) {
      const answer = await as<Message>("DELETE", "me", body)
      await leave()
      return answer
    },
    sessions: () => as("GET", "sessions"),
    async endSession(id) {
      const answer = await as<Message>("DELETE", `sessions/${encodeURIComponent(id)}`)
      if (id === session.token?.sid) await leave()
      return answer
    },
    forgot: (body) => post("password/forgot", body),
    async reset(body) {
      const { message, deviceToken } = await post<Message & { deviceToken?: string }>("password/reset", body)
      await remember(deviceToken)
      return { message }
    },
    changePassword: (body) => as("POST", "password/change", body),
    async verifyEmail(body) {
      const answer = await signIn<SignIn | Message>("email/verify", body, await tokenIfAny())
      return "user" in answer ? { user: answer.user } : answer
    },
    resendVerification: (body) => post("email/verify/resend", body),
    changeEmail: (body) => as("POST", "email/change", body),
    confirmEmail: async (body) => post("email/change/confirm", body, await tokenIfAny()),
    undoEmail: (body) => post("email/change/undo", body),
  }
}

