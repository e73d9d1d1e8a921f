import type { Challenge, Message, SignIn, User, UserAnswer } from "./api.js"
import type { Client, Parts } from "./client.js"
import { now } from "./clock.js"
import { WatchwordError } from "./error.js"
import { tokenOf } from "./token.js"

type SignInMethods = Pick<
  Client,
  | "register" | "login" | "loginFactor" | "stepUp" | "onStepUp" | "verifyEmail" | "acceptInvite" | "confirmEmail"
  | "logout"
>

export function createSignInMethods(parts: Parts): SignInMethods {
  const { stored, post } = parts
  return {
    register: async (body) => withoutTokens(await signIn<SignIn | Message>(parts, "register", body)),
    async login(body) {
      const deviceToken = await stored.deviceToken()
      const response = await signIn<SignIn>(parts, "login", deviceToken ? { ...body, deviceToken } : body)
      return { user: response.user }
    },
    async loginFactor(body) {
      const response = await signIn<SignIn>(parts, "login/factor", { ...body, ...handleOf(parts) })
      return { user: response.user }
    },
    stepUp: (body) => stepUp(parts, body),
    onStepUp: parts.stepUps.onStepUp,
    async verifyEmail(body) {
      const accessToken = await accessTokenIfAny(parts)
      return withoutTokens(await signIn<SignIn | Message>(parts, "email/verify", body, accessToken))
    },
    async acceptInvite(body) {
      const response = await signIn<SignIn>(parts, "invite/accept", body)
      return { user: response.user }
    },
    async confirmEmail(body) {
      return post("email/change/confirm", body, { accessToken: await accessTokenIfAny(parts) })
    },
    logout: () => logout(parts),
  }
}

/**
 * Sends a request that may sign in, and starts the session. It first waits for a running refresh. Otherwise the
 * cookie of the refresh could replace the new cookie.
 */
export function signIn<T extends SignIn | Message>(
  parts: Parts,
  path: string,
  body: object,
  accessToken?: string,
): Promise<T> {
  const { session, tabs, renewal, stored, post, start } = parts
  start()
  return tabs.runExclusive(async () => {
    const sent = now()
    const delivery = stored.inBody && !("handle" in body) ? { delivery: "body" } : {}
    const response = await post<T>(path, { ...body, ...delivery }, { accessToken }).catch((error: unknown) => {
      moveHandle(parts, error)
      throw error
    })
    if ("accessToken" in response) {
      await stored.save(response)
      renewal.backoff.reset()
      session.signedIn(tokenOf(response, sent), response.user)
      tabs.broadcastToken()
    }
    return response
  })
}

/** Moves the handle from the error into the client, because the error may be logged. */
function moveHandle(parts: Parts, error: unknown): void {
  const challenge = (error as { challenge?: Challenge & { handle?: string } }).challenge
  if (!challenge) return
  parts.handle = challenge.handle ?? ""
  delete challenge.handle
}

/** In a browser, the handle is in a cookie instead. */
export function handleOf({ stored, handle }: Parts): { handle?: string } {
  return stored.inBody ? { handle: handle ?? "" } : {}
}

/**
 * Sends a proof, and replaces the access token. It first waits for a running refresh, because the token of that
 * refresh may have been issued before the proof.
 */
async function stepUp({ session, tabs, callAsUser, stepUps, start }: Parts, body: object): Promise<void> {
  start()
  const sent = now()
  const { signal } = session
  const response = await callAsUser<Pick<SignIn, "accessToken" | "expiresIn">>("POST", "step-up", body, false)
  await tabs.runExclusive(async () => {
    if (signal.aborted) return // signed out in the meantime: the next request throws
    session.renewed(tokenOf(response, sent), session.snapshot.user as User)
    stepUps.proven()
    tabs.broadcastToken()
  })
}

function withoutTokens(response: SignIn | Message): UserAnswer | Message {
  return "user" in response ? { user: response.user } : response
}

/** Without a token, the server responds that a password is required. */
async function accessTokenIfAny({ session, stored, renewal, start }: Parts): Promise<string | undefined> {
  start()
  if (!session.token && !stored.inBody) return undefined // the browser sends the cookie instead
  return (await renewal.validToken().catch(() => undefined))?.value
}

export function signOutTabs({ session, tabs }: Parts): void {
  const sid = session.token?.sid
  session.signedOut()
  tabs.broadcastSignOut(sid)
}

async function logout(parts: Parts): Promise<void> {
  const { session, stored, post, start } = parts
  start()
  const accessToken = session.token?.value
  signOutTabs(parts) // signs out before the request, so that the response of a running refresh is dropped
  const refreshToken = await stored.refreshToken()
  const send = (): Promise<Message> => post("logout", refreshToken ? { refreshToken } : undefined, { accessToken })
  try {
    await send()
  } catch (error) {
    // Signing out twice is not an error, so the request is safe to repeat.
    if (!(error instanceof WatchwordError) || error.code !== "NETWORK") throw error
    await send()
  }
  // A concurrent sign-in may have stored another token.
  if (refreshToken === (await stored.refreshToken())) await stored.removeRefreshToken()
}
