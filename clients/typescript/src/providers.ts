// Sign-in with Google, GitHub and other providers. This is a separate entry point, because many applications don't
// offer it.
//
//  1. The browser goes to the provider and comes back to a page of the application, `returnTo`.
//  2. With a popup, the page `returnTo` loads in the popup. There, createProviders reports the
//     result and closes the popup.
//  3. The report goes over a BroadcastChannel, which browsers limit to pages of one origin. A
//     reference to the opening window is not reliable, because the headers of some servers remove
//     it (Cross-Origin-Opener-Policy).
//  4. These headers also make an open popup look closed. Therefore it counts as closed only when
//     this page has the focus again.

import type { IdentitiesAnswer, Message, ProvidersAnswer, UserAnswer } from "./api.js"
import { partsKey, type Client, type Parts } from "./client.js"
import type { Code } from "./codes.js"
import { WatchwordError } from "./error.js"
import { readJSON, send } from "./transport.js"

export type { IdentitiesAnswer, Identity, Message, Provider, ProvidersAnswer, UserAnswer } from "./api.js"

export interface ProviderOptions {
  /** "redirect" (default): this page goes to the provider. "popup": a window opens. Call it in a click handler. */
  mode?: "redirect" | "popup"
  /**
   * The page of the application to come back to: a complete URL or a path. It has to call
   * createProviders when it loads. Default: this page.
   */
  returnTo?: string
}

/**
 * A popup without a result. "blocked": the browser opened no window; offer a redirect. "closed": the user
 * closed it.
 */
export interface Cancelled {
  cancelled: "blocked" | "closed"
}

/** The result, or Cancelled. Check `outcome.cancelled` first. */
export type ProviderOutcome<T> = (T & { cancelled?: undefined }) | Cancelled

export interface Providers {
  /** Lists the providers for the buttons. Without providers, the list is empty. */
  list(): Promise<ProvidersAnswer>
  /**
   * Signs in with an account at a provider. In "redirect" mode, the browser leaves this page and the promise stays
   * pending. Call `client.restore` and `takeError` on the page `returnTo`. In "popup" mode, it throws the error
   * instead. After LINK_REQUIRED, let the user sign in as usual, which connects the provider.
   */
  signInWith(provider: string, options?: ProviderOptions): Promise<ProviderOutcome<UserAnswer>>
  /** Returns why the provider's redirect failed, and removes the error from the URL. Call it when the page loads. */
  takeError(): WatchwordError | undefined
  /** Lists the accounts at providers that the user has connected. */
  identities(): Promise<IdentitiesAnswer>
  /** Connects an account at a provider to the user. It needs a fresh session, as changes of factors do. */
  link(provider: string, options?: ProviderOptions): Promise<ProviderOutcome<{ linked: true }>>
  /**
   * Disconnects an account at a provider from the user. Throws LAST_WAY_IN if the user would have no other way to
   * sign in.
   */
  unlink(id: string): Promise<Message>
}

/**
 * Returns the calls for external providers. If this page is in a popup of signInWith, it reports the result and
 * closes the popup.
 */
export function createProviders(client: Client<object>): Providers {
  const parts = (client as Client & { [partsKey]: Parts })[partsKey]
  const { callAsUser, settings } = parts
  const root = settings.apiUrl.replace(/\/api\/auth$/, "")
  reportFromPopup()

  async function visit(options: ProviderOptions, addressOf: AddressOf): Promise<undefined | Cancelled> {
    if (settings.storage) throw new TypeError("a provider needs cookies: create the client without storage")
    if (options.mode === "popup") return openPopup(returnURL(options), addressOf)
    location.assign(await addressOf(returnURL(options).href))
    return new Promise(() => {}) // the browser leaves the page
  }
  return {
    list: () => list(parts),
    async signInWith(provider, options = {}) {
      const path = `${root}/sign-in/${encodeURIComponent(provider)}`
      const before = client.getSnapshot().user?.id
      const cancelled = await visit(options, (returnTo) => `${path}?${new URLSearchParams({ return_to: returnTo })}`)
      const { user } = await client.refresh().catch((error: unknown) => {
        if (cancelled) return client.getSnapshot()
        throw error
      })
      // A popup may complete the sign-in without a report, for example if its last page did not load.
      if (cancelled && (!user || user.id === before)) return cancelled
      if (user) return { user }
      const message = "The browser does not send the cookie of the sign-in. It may block cookies of other sites."
      throw new WatchwordError("REFRESH_MISSING", message)
    },
    takeError,
    identities: () => callAsUser("GET", "identities"),
    async link(provider, options = {}) {
      const path = `identities/${encodeURIComponent(provider)}`
      const cancelled = await visit(options, async (returnTo) => {
        return (await callAsUser<{ url: string }>("POST", path, { returnTo })).url
      })
      return cancelled ?? { linked: true }
    },
    unlink: (id) => callAsUser("DELETE", `identities/${encodeURIComponent(id)}`),
  }
}

async function list({ settings }: Parts): Promise<ProvidersAnswer> {
  try {
    return await send(settings.transport, `${settings.apiUrl}/providers`, {}, readJSON<ProvidersAnswer>)
  } catch (error) {
    if (error instanceof WatchwordError && error.code === "NOT_FOUND") return { providers: [] } // not configured
    throw error
  }
}

/** Returns the URL to open for a sign-in that ends at `returnTo`. */
type AddressOf = (returnTo: string) => string | Promise<string>

/** A query parameter of `returnTo`. Its value names the channel. */
const popupParameter = "watchword-popup"

const channelOf = (attempt: string): BroadcastChannel => new BroadcastChannel(`watchword:popup:${attempt}`)

function returnURL({ returnTo = location.href }: ProviderOptions): URL {
  const url = new URL(returnTo, location.href)
  url.hash = "" // removed, because the server writes an error into the fragment
  url.searchParams.delete(popupParameter)
  return url
}

/** Resolves with undefined after a success, and throws the error that the popup reports. */
async function openPopup(returnTo: URL, addressOf: AddressOf): Promise<undefined | Cancelled> {
  // The window opens before the first await, because browsers block windows outside of a click.
  const opened = open("about:blank", "_blank", popupFeatures())
  if (!opened || opened.closed) return { cancelled: "blocked" }
  const attempt = crypto.randomUUID()
  const channel = channelOf(attempt)
  returnTo.searchParams.set(popupParameter, attempt)
  try {
    const reported = awaitReport(opened, channel)
    opened.location.replace(await addressOf(returnTo.href))
    const result = await reported
    if (result === "closed") return { cancelled: "closed" }
    if (result.code) throw redirectError(result.code)
    return undefined
  } catch (error) {
    opened.close()
    throw error
  } finally {
    channel.close()
  }
}

interface Report {
  /** Absent after a success. */
  code?: string
}

const pollInterval = 250 // milliseconds

/** Resolves with "closed" if the user has closed the popup. */
function awaitReport(opened: Window, channel: BroadcastChannel): Promise<Report | "closed"> {
  return new Promise((resolve) => {
    let polls = 0
    const timer = setInterval(() => {
      polls = opened.closed && document.hasFocus() ? polls + 1 : 0
      if (polls > 3) settle("closed") // closed for four polls, so no report will arrive
    }, pollInterval)
    function settle(result: Report | "closed"): void {
      clearInterval(timer)
      resolve(result)
    }
    channel.onmessage = ({ data }: MessageEvent<Report>) => {
      channel.postMessage("received")
      settle(data)
    }
  })
}

/**
 * Reports the result if this page is in a popup of signInWith, and closes the popup. If the page that
 * opened it is gone, the popup stays open, and the user continues in it.
 */
function reportFromPopup(): void {
  const url = URL.canParse(globalThis.location?.href) ? new URL(location.href) : undefined
  const attempt = url?.searchParams.get(popupParameter)
  if (!url || !attempt) return
  url.searchParams.delete(popupParameter)
  history.replaceState(history.state, "", url)
  const channel = channelOf(attempt)
  channel.onmessage = () => {
    channel.close()
    close()
  }
  const code = codeIn(url)
  channel.postMessage({ ...(code && { code }) } satisfies Report)
}

/** Centres the popup over this window. */
function popupFeatures(): string {
  const [width, height] = [480, 680]
  const left = Math.max(0, Math.round(screenX + (outerWidth - width) / 2))
  const top = Math.max(0, Math.round(screenY + (outerHeight - height) / 2))
  return `popup,width=${width},height=${height},left=${left},top=${top}`
}

const codeIn = ({ hash }: { hash: string }): string | undefined => /^#error=([A-Z_]+)$/.exec(hash)?.[1]

function takeError(): WatchwordError | undefined {
  const code = codeIn(location)
  if (!code) return undefined
  history.replaceState(history.state, "", location.pathname + location.search)
  return redirectError(code)
}

/** A failed redirect has a code, but no message. */
const messageByCode: { [code in Code]?: string } = {
  PROVIDER_REFUSED: "The sign-in with the provider was not completed. Try again, or sign in another way.",
  PROVIDER_UNAVAILABLE: "The provider does not respond correctly. Try again later, or sign in another way.",
  LINK_REQUIRED: "You have an account with this email address. Sign in to it once to connect the provider.",
  IDENTITY_TAKEN: "This account at the provider is connected to another account here.",
  CHALLENGE_INVALID: "The sign-in took too long, or began in another browser. Start again.",
  SIGNUP_CLOSED: "New accounts can't be created here.",
  ACCOUNT_DISABLED: "This account is disabled.",
  EMAIL_NOT_VERIFIED: "Check your inbox. We emailed you a link to confirm your address.",
  EMAIL_TAKEN: "An account with this address already exists. Sign in, or use another address.",
  FACTOR_LIMIT: "This account has too many connected accounts. Disconnect one first.",
  RATE_LIMITED: "Too many attempts. Try again later.",
  TRY_LATER: "The sign-in service is busy. Try again in a moment.",
}

/** Unknown codes get a general message, because a stranger's link can have any code in its fragment. */
function redirectError(code: string): WatchwordError {
  const message = messageByCode[code as Code]
  return message
    ? new WatchwordError(code as Code, message)
    : new WatchwordError("INTERNAL", "The sign-in with the provider failed. Try again, or sign in another way.")
}
