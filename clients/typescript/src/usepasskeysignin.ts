import { useSyncExternalStore } from "react"
import type { Challenge } from "./api.js"
import type { Client } from "./client.js"
import { WatchwordError } from "./error.js"
import {
  createPasskeys,
  type Outcome,
  type PasskeyCapabilities,
  type PasskeySecondStepOptions,
  type PasskeySignInOptions,
} from "./passkeys.js"
import { createSharedState } from "./sharedstate.js"

/** The sign-in with passkeys. Its functions return whether the user is signed in. If not, `error` has the reason. */
export interface PasskeySignIn {
  /** undefined: not known yet. */
  readonly capabilities: PasskeyCapabilities | undefined
  /** Whether a dialog of the browser is open, or the server checks a passkey. */
  readonly busy: boolean
  /**
   * The last error of a sign-in, including errors after the user chose a suggested passkey. undefined after a
   * cancellation. `nextStep` returns the step to offer.
   */
  readonly error: WatchwordError | undefined
  signIn(): Promise<boolean>
  /** Completes a sign-in that threw SECOND_FACTOR_REQUIRED. */
  completeSignIn(challenge: Challenge, options?: PasskeySecondStepOptions): Promise<boolean>
}

/**
 * While the component is mounted, it suggests passkeys in the field with
 * `autocomplete="username webauthn"`. Use it in the component of the sign-in page.
 */
export function usePasskeySignIn(client: Client<object>, options: { remember?: boolean } = {}): PasskeySignIn {
  const known = pages.get(client)
  const page = known ?? createPage(client)
  if (!known) pages.set(client, page)
  page.remember = options.remember
  return useSyncExternalStore(page.subscribe, page.get, page.get)
}

interface Page {
  subscribe(change: () => void): () => void
  get(): PasskeySignIn
  remember: boolean | undefined
}

const pages = new WeakMap<object, Page>()

function createPage(client: Client<object>): Page {
  const passkeys = createPasskeys(client)
  /** `remember` is read only when the passkey is sent, because the user can still change it before that. */
  const optionsOf = (signal?: AbortSignal): PasskeySignInOptions => ({
    get remember() { return page.remember ?? true },
    ...(signal && { signal }),
  })

  async function attempt(work: Promise<Outcome<object>>): Promise<boolean> {
    state.set({ busy: true, error: undefined })
    try {
      return !(await work).cancelled
    } catch (error) {
      if (!(error instanceof WatchwordError)) throw error
      state.set({ error })
      return false
    } finally {
      state.set({ busy: false })
    }
  }
  async function suggest(signal: AbortSignal): Promise<void> {
    for (let failed = true; failed && !signal.aborted; ) {
      failed = false
      await passkeys.autofill(optionsOf(signal)).catch((error: WatchwordError) => {
        state.set({ error })
        failed = true
      })
    }
  }
  function start(): () => void {
    const closed = new AbortController()
    void passkeys.capabilities().then((capabilities) => state.set({ capabilities }))
    void suggest(closed.signal)
    return () => {
      closed.abort()
      state.set({ error: undefined })
    }
  }
  const state = createSharedState<PasskeySignIn>(
    {
      capabilities: undefined,
      busy: false,
      error: undefined,
      signIn: () => attempt(passkeys.signIn(optionsOf())),
      completeSignIn: (challenge, second) => attempt(passkeys.completeSignIn(challenge, second)),
    },
    start,
  )
  const page: Page = { subscribe: state.subscribe, get: state.get, remember: undefined }
  return page
}
