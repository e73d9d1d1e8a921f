// The cookies of a session: its two tokens, and the tokens by which Watchword recognizes the browser.

import type { SignIn } from "./api.js"
import { parseSetCookie, type Jar, type ParsedCookie } from "./cookiejar.js"

export interface SessionCookies {
  access(): string | undefined
  refresh(): string | undefined
  /** The token of a known device. */
  device(): string | undefined
  /** The token of a browser that skips the second factor. */
  remembered(): string | undefined
  /** Stores the tokens of a response. A refresh does not change whether the cookies end with the browser. */
  keep(response: SignIn, setCookies: readonly string[]): void
  clear(): void
}

/**
 * Marks a refresh token whose cookie ends with the browser. After a refresh, the new cookie also ends with the
 * browser.
 */
const temporaryPrefix = "temporary."

/** In seconds: browsers keep no cookie longer. The server decides how long a token is valid. */
const maxCookieAge = 400 * 24 * 60 * 60

/** @param refreshCookie the name of Watchword's cookie, if the browser sends it to the application */
export function createSessionCookies(jar: Jar, refreshCookie: string): SessionCookies {
  const keepRefresh = (token: string, isTemporary: boolean): void =>
    isTemporary ? jar.set("session", temporaryPrefix + token) : jar.set("session", token, { maxAge: maxCookieAge })
  return {
    access: () => jar.get("access"),
    refresh: () => (jar.isOwn ? jar.get("session")?.replace(temporaryPrefix, "") : jar.getShared(refreshCookie)),
    device: () => (jar.isOwn ? jar.get("device") : undefined),
    remembered: () => (jar.isOwn ? jar.get("remembered") : undefined),
    keep({ accessToken, expiresIn, refreshToken }, setCookies) {
      jar.set("access", accessToken, { maxAge: expiresIn })
      if (!jar.isOwn) return
      if (refreshToken) keepRefresh(refreshToken, jar.get("session")?.startsWith(temporaryPrefix) ?? false)
      const { refresh, device, remembered } = findTokens(setCookies)
      if (refresh) keepRefresh(refresh.value, refresh.options.maxAge === undefined)
      if (device) jar.set("device", device.value, { maxAge: maxCookieAge })
      if (remembered) jar.set("remembered", remembered.value, { maxAge: remembered.options.maxAge })
    },
    clear() {
      jar.remove("access")
      if (jar.isOwn) jar.remove("session")
    },
  }
}

/** The names of Watchword's cookies depend on its settings, so the tokens are found by prefix. */
const tokenPrefixes = { refresh: "wwr_", device: "wwd_", step: "wwc_", remembered: "wwb_" }

export function findTokens(setCookies: readonly string[]): Partial<Record<keyof typeof tokenPrefixes, ParsedCookie>> {
  const all = setCookies.map(parseSetCookie)
  const found = Object.entries(tokenPrefixes).map(([kind, beginning]) => {
    return [kind, all.find(({ value }) => value.startsWith(beginning))] as const
  })
  return Object.fromEntries(found.filter(([, cookie]) => cookie))
}
