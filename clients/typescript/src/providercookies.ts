// The cookies of a sign-in with an external provider.

import { parseSetCookie, type Jar } from "./cookiejar.js"

export interface ProviderCookies {
  /** Stores the verifier of an attempt, and returns the number of its cookie. */
  keepVerifier(verifier: string): string
  /** Returns the verifier in the cookie with this number, and deletes the cookie. */
  takeVerifier(number: string): string | undefined
  /** Returns the token that connects the account at a provider after the next sign-in. */
  link(): string | undefined
  keepLink(setCookies: readonly string[]): void
  endLink(): void
}

const maxAge = 10 * 60 // seconds; Watchword allows the user the same time at the provider
const cookieNumbers = ["0", "1", "2", "3", "4"] // one cookie for each tab

export function createProviderCookies(jar: Jar): ProviderCookies {
  return {
    keepVerifier(verifier) {
      // A sixth tab overwrites the verifier of one of the five tabs. The sign-in in that tab has to start again.
      const number = cookieNumbers.find((one) => !jar.get(`verifier-${one}`)) ?? `${Date.now() % cookieNumbers.length}`
      jar.set(`verifier-${number}`, verifier, { maxAge })
      return number
    },
    takeVerifier(number) {
      if (!cookieNumbers.includes(number)) return undefined
      const verifier = jar.get(`verifier-${number}`)
      jar.remove(`verifier-${number}`)
      return verifier
    },
    link: () => (jar.isOwn ? jar.get("connect") : undefined),
    keepLink(setCookies) {
      const link = setCookies.map(parseSetCookie).find(({ name }) => name.endsWith("watchword-link"))
      if (jar.isOwn && link?.value) jar.set("connect", link.value, { maxAge })
    },
    endLink: () => (jar.isOwn ? jar.remove("connect") : undefined),
  }
}
