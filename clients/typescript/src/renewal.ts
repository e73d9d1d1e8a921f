// The steps of a refresh, in order:
//
//  1. A tab sends one refresh at a time. Other callers in the tab get the same result.
//  2. While a backoff lasts, the last error is thrown again without a request.
//  3. All tabs together send one refresh at a time. After the wait for another tab, the refresh is
//     skipped if that tab has sent a fresh token, or the user has signed in or out.
//  4. If the response is lost, the refresh is sent once more, and the server repeats the response.
//  5. A response that arrives after a sign-in or sign-out is dropped.
//  6. Four error codes of the server end the session. After any other error, the session continues.

import type { SignIn, User } from "./api.js"
import { createBackoff, type Backoff } from "./backoff.js"
import { now, pause } from "./clock.js"
import { WatchwordError, type WatchwordErrorCode } from "./error.js"
import type { Session } from "./session.js"
import type { Tabs } from "./tabs.js"
import { isBefore, tokenOf, type Token } from "./token.js"

const endingCodes: readonly unknown[] = [
  "REFRESH_MISSING", "REFRESH_INVALID", "REFRESH_REUSED", "SESSION_ENDED",
] satisfies WatchwordErrorCode[]

export interface Renewal {
  /** Replaces the access token, even if it is new. */
  renew(): Promise<void>
  /**
   * Returns a token for a request, and renews it first if it is stale. If the server has rejected a token, pass it as
   * `refused` to get a different one. With `user`, it throws if another user has signed in.
   */
  validToken(user?: User, refused?: Token): Promise<Token>
  readonly backoff: Backoff
}

export interface RenewalOptions {
  session: Session
  tabs: Tabs
  /** Sends the refresh. undefined: there is no refresh token. */
  requestRefresh(signal: AbortSignal): Promise<SignIn | undefined>
  /** Removes the refresh token after the server has rejected it. */
  removeRefreshToken(): Promise<void>
  /** Called after each renewal, successful or not. */
  onSettled(): void
}

export function createRenewal(options: RenewalOptions): Renewal {
  const { session, tabs, onSettled } = options
  const backoff = createBackoff()
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    const { signal, token } = session
    backoff.check()
    await tabs.runExclusive(async () => {
      const isRenewed = session.token !== token && isBefore(session.token, "staleAt")
      if (!signal.aborted && !isRenewed) await exchange(options, backoff, signal)
    })
  }

  function renew(): Promise<void> {
    return (running ??= run().finally(() => {
      running = undefined
      onSettled()
    }))
  }

  return { renew, backoff, validToken: (user, refused) => validToken(session, renew, user, refused) }
}

/** Sends the refresh, once more if the response is lost, and applies the result. */
async function exchange(options: RenewalOptions, backoff: Backoff, signal: AbortSignal): Promise<void> {
  const { session, tabs, requestRefresh } = options
  for (let mayRetry = true; ; mayRetry = false) {
    const sent = now()
    try {
      const response = await requestRefresh(signal)
      if (signal.aborted) return
      if (!response) return await endSession(options, "REFRESH_MISSING")
      session.renewed(tokenOf(response, sent), response.user)
      backoff.recordSuccess()
      return tabs.broadcastToken()
    } catch (error) {
      if (signal.aborted) return
      const code = error instanceof WatchwordError ? error.code : undefined
      if (code && endingCodes.includes(code)) return await endSession(options, code)
      if (!mayRetry || (code !== "NETWORK" && code !== "TIMEOUT")) {
        backoff.recordFailure(error)
        throw error
      }
      await pause(100 + Math.random() * 200)
      if (signal.aborted) return
    }
  }
}

async function endSession(options: RenewalOptions, reason: WatchwordErrorCode): Promise<void> {
  const { session, tabs, removeRefreshToken } = options
  const sid = session.token?.sid
  // A visitor without a refresh token never had a session here, so the snapshot gets no reason for its end.
  const shown = reason === "REFRESH_MISSING" && session.snapshot.status === "unknown" ? undefined : reason
  session.signedOut(shown)
  tabs.broadcastSignOut(sid, shown)
  await removeRefreshToken()
}

async function validToken(session: Session, renew: () => Promise<void>, user?: User, refused?: Token): Promise<Token> {
  const before = session.token
  const has = (limit: "staleAt" | "expiresAt"): boolean => session.token !== refused && isBefore(session.token, limit)
  if (session.snapshot.status !== "signedOut" && !has("staleAt")) {
    try {
      await renew()
    } catch (error) {
      // A stale token that has not expired still works.
      if (!has("expiresAt")) throw error
    }
  }
  const { token, snapshot } = session
  if (snapshot.status === "signedOut") {
    throw new WatchwordError(snapshot.reason ?? "TOKEN_MISSING", "You are signed out. Sign in first.", { status: 401 })
  }
  // A different user has signed in. The request must not use the token of that user.
  if (user && user.id !== snapshot.user?.id) {
    throw new WatchwordError("SESSION_ENDED", "Another user has signed in. Reload the page.", { status: 401 })
  }
  // A new token is used even if it expires soon, because the last token of a session may live
  // for seconds only.
  if (token && token !== refused && (token !== before || has("expiresAt"))) return token
  throw new WatchwordError("TOKEN_MISSING", "The session changed during the request. Try again.", { status: 401 })
}
