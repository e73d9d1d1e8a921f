// The cookies of an application that renders on its server.

import type { Challenge, SignIn } from "./api.js"
import { createChallengeCookie, type ChallengeCode, type ChallengeCookie } from "./challenge.js"
import { createJar, type CookieContext } from "./cookiejar.js"
import { createProviderCookies, type ProviderCookies } from "./providercookies.js"
import { createSessionCookies, findTokens, type SessionCookies } from "./sessioncookies.js"

export interface AppCookies
  extends
    Pick<SessionCookies, "access" | "refresh" | "device">,
    Pick<ChallengeCookie, "challenge">,
    Pick<ProviderCookies, "keepVerifier" | "takeVerifier"> {
  readonly canSet: boolean
  /** The Cookie header of a sign-in or sign-out, with the names that Watchword gives its cookies. */
  forwarded(): string
  // Each parameter `setCookies` has the Set-Cookie headers of Watchword's response.
  /** Stores the tokens of a response. A refresh does not change whether the cookies end with the browser. */
  save(response: SignIn, setCookies: readonly string[]): void
  clear(setCookies: readonly string[]): void
  keepChallenge(code: ChallengeCode, challenge: Challenge, setCookies: readonly string[]): void
  endChallenge(setCookies: readonly string[]): void
  /** Stores a token for an account at a provider. The next sign-in uses the token to connect this account. */
  keepLink(setCookies: readonly string[]): void
}

/** @param refreshCookie "own", or the name of Watchword's cookie if the browser sends it to the application */
export function createCookies(context: CookieContext, secure: boolean, refreshCookie: string): AppCookies {
  const jar = createJar(context, secure, refreshCookie === "own")
  const session = createSessionCookies(jar, refreshCookie)
  const waiting = createChallengeCookie(jar)
  const provider = createProviderCookies(jar)
  const endChallenge = (setCookies: readonly string[]): void => {
    waiting.end()
    jar.passOn(setCookies)
  }
  return {
    canSet: jar.canSet,
    access: session.access,
    refresh: session.refresh,
    device: session.device,
    challenge: waiting.challenge,
    keepVerifier: provider.keepVerifier,
    takeVerifier: provider.takeVerifier,
    forwarded() {
      const own = { step: waiting.handle(), device: session.remembered(), link: provider.link() }
      return headerOf(jar.isOwn ? renamed(own) : sharedWith(jar.getShared, refreshCookie))
    },
    save(response, setCookies) {
      session.keep(response, setCookies)
      provider.endLink()
      endChallenge(setCookies)
    },
    clear(setCookies) {
      session.clear()
      jar.passOn(setCookies)
    },
    keepChallenge(code, challenge, setCookies) {
      jar.passOn(setCookies)
      waiting.keep({ ...challenge, code, handle: jar.isOwn ? findTokens(setCookies).step?.value : undefined })
    },
    endChallenge,
    keepLink(setCookies) {
      jar.passOn(setCookies)
      provider.keepLink(setCookies)
    },
  }
}

type Pair = readonly [name: string, value: string | undefined]

/**
 * Returns the cookie's names on a server with https and on a server with http. Watchword ignores the name that does
 * not fit its own URL.
 */
const watchwordNames = (name: string): string[] => [`__Host-watchword-${name}`, `watchword-${name}`]

function renamed(own: Record<string, string | undefined>): Pair[] {
  return Object.entries(own).flatMap(([name, value]) => watchwordNames(name).map((full) => [full, value] as const))
}

function sharedWith(read: (name: string) => string | undefined, refreshCookie: string): Pair[] {
  const names = [refreshCookie, `${refreshCookie}-known`, ...["step", "device", "link"].flatMap(watchwordNames)]
  return names.map((name) => [name, read(name)] as const)
}

function headerOf(pairs: Pair[]): string {
  const isToken = (value = ""): boolean => /^[\w.-]+$/.test(value) // a browser can send any text
  return pairs.flatMap(([name, value]) => (isToken(value) ? [`${name}=${value}`] : [])).join("; ")
}
