import { createAccountMethods } from "./account.js"
import type {
  Credentials,
  FactorLogin,
  FactorProof,
  Invitation,
  LogoutAllAnswer,
  MeAnswer,
  Message,
  Metadata,
  Registration,
  SessionsAnswer,
  UserAnswer,
  Verification,
} from "./api.js"
import { createAuthorized, type SendAuthorized } from "./authorized.js"
import { resolveOptions, type ClientOptions, type Settings } from "./options.js"
import { createRenewal, type Renewal } from "./renewal.js"
import { createSchedule } from "./schedule.js"
import { createCallAsUser, createPost, type CallAsUser, type Post } from "./requests.js"
import { createSession, type Listener, type Session, type Snapshot } from "./session.js"
import { createSignInMethods } from "./signin.js"
import { createStoredTokens, type StoredTokens } from "./stored.js"
import { createStepUps, type StepUpHandler, type StepUps } from "./stepup.js"
import { createTabs, type Tabs } from "./tabs.js"

/** M is the type of the public metadata. */
export interface Client<M extends object = Metadata> {
  /** Finds out whether a user is signed in. Call it when a page loads. */
  restore(): Promise<Snapshot>
  /** Returns the current state without a request. It is the same object until a value changes. */
  getSnapshot(): Snapshot
  /** Calls the listener after each change. Returns a function that removes the listener. */
  onChange(listener: Listener): () => void
  /** Returns a valid access token, for requests that can't use `fetch`, such as a WebSocket. */
  getAccessToken(): Promise<string>
  /**
   * The global fetch with the access token. It throws if no user is signed in, or if the
   * server rejects a fresh token. It returns every other response.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>
  /** Renews the access token now, even if it is fresh. */
  refresh(): Promise<Snapshot>
  /** Removes timers, listeners and channels. Call it in tests, and before another client replaces this one. */
  close(): void

  /** Creates an account and signs in. If the server verifies addresses first, this only sends a mail. */
  register(body: Registration): Promise<UserAnswer | Message>
  /**
   * Signs in. If the account has a second factor, it throws SECOND_FACTOR_REQUIRED with a
   * `challenge`: ask for a proof, and call loginFactor.
   */
  login(body: Credentials): Promise<UserAnswer>
  /**
   * Completes the last sign-in that threw SECOND_FACTOR_REQUIRED. After FACTOR_WRONG, ask for a proof again; after
   * CHALLENGE_INVALID, start with login.
   */
  loginFactor(body: FactorLogin): Promise<UserAnswer>
  /**
   * Signs out in all tabs at once. If it throws, the server was not reached, so the session is still active on the
   * server: call logout again.
   */
  logout(): Promise<void>
  /** Ends all sessions of the user, or all except this one. */
  logoutAll(body?: { keepCurrent?: boolean }): Promise<LogoutAllAnswer>
  me(): Promise<MeAnswer<M>>
  updateMe(body: { name?: string; locale?: string }): Promise<MeAnswer<M>>
  deleteMe(body: { password: string }): Promise<Message>
  sessions(): Promise<SessionsAnswer>
  endSession(id: string): Promise<Message>
  /** Sends a mail to reset the password. The response does not reveal whether the account exists. */
  forgot(body: { email: string }): Promise<Message>
  reset(body: { token: string; password: string }): Promise<Message>
  changePassword(body: { currentPassword: string; newPassword: string }): Promise<Message>
  /**
   * Confirms an address with the token of a mailed link. If no user is signed in, or a different user, it throws
   * PASSWORD_REQUIRED: ask for the password, and call verifyEmail again with that password. With a password, it also
   * signs in and returns the user.
   */
  verifyEmail(body: Verification): Promise<UserAnswer | Message>
  /** Sets the first password of an invited account, and signs in. */
  acceptInvite(body: Invitation): Promise<UserAnswer>
  resendVerification(body: { email: string }): Promise<Message>
  changeEmail(body: { newEmail: string; password: string }): Promise<Message>
  /** Confirms a new address as verifyEmail does. Unlike verifyEmail, it never signs in. */
  confirmEmail(body: { token: string; password?: string }): Promise<Message>
  undoEmail(body: { token: string }): Promise<Message>
  /** Sends a new proof of the user's identity. A password is accepted only for an account without a factor. */
  stepUp(body: FactorProof | { password: string }): Promise<void>
  /**
   * Sets the handler that is called when a request needs a newer or stronger proof. One call serves all requests that
   * wait. A new handler replaces the last one. Returns a function that removes the handler.
   */
  onStepUp(handler: StepUpHandler): () => void
}

/**
 * The key of the property that contains a client's parts. Other entry points of this package read it. The symbol is
 * registered, because each bundle may have its own copy of this module.
 */
export const partsKey = Symbol.for("@watchword/client")

/** The parts of a client, for the functions that implement its methods. */
export interface Parts {
  settings: Settings
  session: Session
  tabs: Tabs
  renewal: Renewal
  stored: StoredTokens
  post: Post
  callAsUser: CallAsUser
  sendAuthorized: SendAuthorized
  stepUps: StepUps
  /** The handle of the last challenge. Empty: the handle is in a cookie. undefined: there was no challenge. */
  handle: string | undefined
  /** Starts channel and schedule, unless the client is closed. */
  start(): void
  close(): void
}

/**
 * Creates a client. It sends no request until a method is called. M is the type of the metadata that
 * `me` returns, which the client does not check.
 */
export function createClient<M extends object = Metadata>(options: ClientOptions): Client<M> {
  const parts = createParts(resolveOptions(options))
  const client = { ...createSessionMethods(parts), ...createSignInMethods(parts), ...createAccountMethods<M>(parts) }
  return Object.defineProperty(client, partsKey, { value: parts }) // not enumerable, so a log of it has no token
}

function createParts(settings: Settings): Parts {
  const session = createSession()
  const tabs = createTabs({ name: settings.sharedName, lockTimeout: settings.lockTimeout, session })
  const stored = createStoredTokens(settings.storage)
  const post = createPost(settings)
  const renewal = createRenewal({
    session,
    tabs,
    requestRefresh: (signal) => stored.refresh(post, signal),
    removeRefreshToken: stored.removeRefreshToken,
    onSettled: () => schedule.reschedule(),
  })
  const schedule = createSchedule({ session, renewal, tabs })
  const stepUps = createStepUps()
  const sendAuthorized = createAuthorized({ session, renewal, stepUps, origins: settings.origins })
  let closed = false
  function start(): void {
    if (closed) return
    tabs.open()
    schedule.start()
  }
  function close(): void {
    closed = true
    schedule.stop()
    tabs.close()
  }
  const callAsUser = createCallAsUser(settings, sendAuthorized)
  const calls = { post, callAsUser, sendAuthorized, stepUps, handle: undefined }
  return { settings, session, tabs, renewal, stored, ...calls, start, close }
}

type SessionMethods = Pick<
  Client,
  "restore" | "refresh" | "getSnapshot" | "onChange" | "getAccessToken" | "fetch" | "close"
>

function createSessionMethods({ settings, session, renewal, sendAuthorized, start, close }: Parts): SessionMethods {
  async function refresh(): Promise<Snapshot> {
    start()
    await renewal.renew()
    return session.snapshot
  }
  return {
    restore: async () => (session.snapshot.status === "unknown" ? refresh() : session.snapshot),
    refresh,
    getSnapshot: () => session.snapshot,
    onChange: session.onChange,
    async getAccessToken() {
      start()
      return (await renewal.validToken()).value
    },
    async fetch(input, init = {}) {
      start()
      return sendAuthorized(settings.fetchTransport, input, init, (response) => response)
    },
    close,
  }
}
