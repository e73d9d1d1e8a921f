// The refresh, in the order of its steps:
//
//  1. One at a time in this tab: who asks meanwhile gets the same answer.
//  2. Not while the server has asked for patience, or the network is away.
//  3. One at a time over all tabs. Whoever had to wait looks first whether another tab
//     has brought a fresh token, or somebody has signed in or out.
//  4. An answer that got lost is asked for once more: the server gives the same one.
//  5. An answer that comes after a sign-in or a sign-out is dropped.
//  6. Only four refusals of the server end the session. Nothing else does.

import type { SignIn, User } from "./api.js"
import { now, pause } from "./clock.js"
import { WatchwordError, type WatchwordErrorCode } from "./error.js"
import { tokenOf, type Session, type Token } from "./session.js"
import type { Tabs } from "./tabs.js"

const ends: readonly WatchwordErrorCode[] = ["REFRESH_MISSING", "REFRESH_INVALID", "REFRESH_REUSED", "SESSION_ENDED"]

export interface Renewal {
  /**
   * Returns a token that will do for a request: another one than `refused`, if that is
   * given, and one of this user, if one is. Throws why there is none.
   */
  fresh(user?: User, refused?: Token): Promise<Token>
  /** Asks the server for a token that takes the place of the present one. */
  renew(): Promise<void>
  /** Whether the last question got no answer. */
  readonly failing: boolean
  /** Until when nothing is asked, by our clock. */
  readonly waitUntil: number
  /** The network is back, or somebody signed in: there is nothing to wait for. */
  calm(): void
}

export interface RenewalOptions {
  session: Session
  tabs: Tabs
  /** Asks the server. undefined: there is no refresh token to ask with. */
  ask(era: AbortSignal): Promise<SignIn | undefined>
  /** Forgets the refresh token, after the server has refused it. */
  forget(): Promise<void>
  /** Called after each renewal, however it went. */
  settled(): void
}

export function createRenewal({ session, tabs, ask, forget, settled }: RenewalOptions): Renewal {
  let running: Promise<void> | undefined
  let failures = 0
  let failing = false
  let waitUntil = 0
  let failure: WatchwordError | undefined

  function calm(): void {
    failures = waitUntil = 0
  }

  async function end(reason: WatchwordErrorCode): Promise<void> {
    const sid = session.token?.sid
    session.signedOut(reason)
    tabs.tellSignedOut(sid, reason)
    await forget()
  }

  /** Keeps in mind how long to wait: as the server says, else twice as long each time. */
  function fail(error: unknown): never {
    const refused = error instanceof WatchwordError ? error : undefined
    const backOff = Math.min(2 ** failures++, 60) * (0.5 + Math.random() / 2)
    waitUntil = now() + (refused?.retryAfter ?? backOff) * 1000
    failure = refused
    failing = true
    throw error
  }

  async function exchange(era: AbortSignal): Promise<void> {
    for (let again = true; ; again = false) {
      const sent = now()
      try {
        const answer = await ask(era)
        if (era.aborted) return
        if (!answer) return await end("REFRESH_MISSING")
        session.renewed(tokenOf(answer, sent), answer.user)
        calm()
        failing = false
        return tabs.tellToken()
      } catch (error) {
        if (era.aborted) return
        const code = error instanceof WatchwordError ? error.code : undefined
        if (code && ends.includes(code)) return await end(code)
        if (!again || (code !== "NETWORK" && code !== "TIMEOUT")) fail(error)
        await pause(100 + Math.random() * 200)
        if (era.aborted) return
      }
    }
  }

  async function once(): Promise<void> {
    const { era, token } = session
    const left = waitUntil - now()
    if (left > 0 && failure) {
      const { code, message, status, requestId } = failure
      throw new WatchwordError(code, message, { status, requestId, retryAfter: Math.ceil(left / 1000) })
    }
    await tabs.alone(async () => {
      const another = session.token !== token && session.token && now() < session.token.staleAt
      if (!era.aborted && !another) await exchange(era)
    })
  }

  function renew(): Promise<void> {
    return (running ??= once().finally(() => {
      running = undefined
      settled()
    }))
  }

  return {
    renew,
    calm,
    get failing() {
      return failing
    },
    get waitUntil() {
      return waitUntil
    },
    async fresh(user, refused) {
      const before = session.token
      const good = (until: "staleAt" | "expiresAt"): Token | undefined =>
        session.token !== refused && session.token && now() < session.token[until] ? session.token : undefined
      if (session.snapshot.status !== "signedOut" && !good("staleAt")) {
        try {
          await renew()
        } catch (error) {
          // What we have may do for a little longer.
          if (!good("expiresAt")) throw error
        }
      }
      const { token, snapshot } = session
      if (snapshot.status === "signedOut") {
        throw new WatchwordError(snapshot.reason ?? "TOKEN_MISSING", "You are signed out. Sign in first.", { status: 401 })
      }
      // What one user began is not done as another.
      if (user && user.id !== snapshot.user?.id) {
        throw new WatchwordError("SESSION_ENDED", "Somebody else has signed in meanwhile.", { status: 401 })
      }
      // A new token is good whatever its life: the last one of a session lives for seconds.
      if (token && token !== refused && (token !== before || good("expiresAt"))) return token
      throw new WatchwordError("TOKEN_MISSING", "The session changed meanwhile. Try again.", { status: 401 })
    },
  }
}
