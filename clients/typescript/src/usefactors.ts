import { useSyncExternalStore } from "react"
import type { FactorAnswer, FactorsAnswer, Message, RecoveryCodesAnswer } from "./api.js"
import type { Client } from "./client.js"
import { WatchwordError } from "./error.js"
import { createFactors, createPasskeys } from "./factors.js"
import type { Outcome, PasskeyCapabilities, PasskeyCreateOptions } from "./passkeys.js"
import { createSharedState } from "./sharedstate.js"

/** The factors of the signed-in user, for the page of an account. The functions throw as those of createFactors do. */
export interface FactorsView {
  /** undefined: the list is not loaded yet, or no user is signed in. */
  readonly list: FactorsAnswer | undefined
  /** Why the list could not be loaded. To try again, call reload. */
  readonly error: WatchwordError | undefined
  /** Whether a change is running. */
  readonly busy: boolean
  /** undefined: not known yet. */
  readonly capabilities: PasskeyCapabilities | undefined
  reload(): Promise<void>
  addPasskey(options?: PasskeyCreateOptions): Promise<Outcome<FactorAnswer>>
  confirmTOTP(id: string, code: string): Promise<FactorAnswer>
  rename(id: string, name: string): Promise<Message>
  remove(id: string): Promise<Message>
  newRecoveryCodes(): Promise<RecoveryCodesAnswer>
}

/** Loads the factors of the user, and again after each change. Components with one client share one list. */
export function useFactors(client: Client<object>): FactorsView {
  const known = views.get(client)
  const view = known ?? createView(client)
  if (!known) views.set(client, view)
  return useSyncExternalStore(view.subscribe, view.get, view.get)
}

interface View {
  subscribe(change: () => void): () => void
  get(): FactorsView
}

const views = new WeakMap<object, View>()

function createView(client: Client<object>): View {
  const factors = createFactors(client)
  const passkeys = createPasskeys(client)
  let loadCount = 0 // numbers the loads, so that only the response to the last load is shown

  async function reload(): Promise<void> {
    const load = ++loadCount
    const changes = await factors.list().then(
      (list) => ({ list, error: undefined }),
      (error: unknown) => ({ error: error as WatchwordError }),
    )
    if (load === loadCount) state.set(changes)
  }
  /**
   * Runs a change and reloads the list, even after an error: the response may be lost although the server made the
   * change.
   */
  async function change<T>(work: Promise<T>): Promise<T> {
    state.set({ busy: true })
    try {
      return await work
    } finally {
      state.set({ busy: false })
      if (client.getSnapshot().user) void reload()
    }
  }
  function follow(): () => void {
    let user: string | undefined
    const update = (): void => {
      const { user: now } = client.getSnapshot()
      if (now?.id === user) return
      user = now?.id
      loadCount++
      state.set({ list: undefined, error: undefined })
      if (user) void reload()
    }
    void passkeys.capabilities().then((capabilities) => state.set({ capabilities }))
    update()
    return client.onChange(update)
  }
  const state = createSharedState<FactorsView>(
    {
      list: undefined,
      error: undefined,
      busy: false,
      capabilities: undefined,
      reload,
      addPasskey: (options) => change(passkeys.add(options)),
      confirmTOTP: (id, code) => change(factors.confirmTOTP(id, { code })),
      rename: (id, name) => change(factors.rename(id, { name })),
      remove: (id) => change(factors.remove(id)),
      newRecoveryCodes: () => change(factors.newRecoveryCodes()),
    },
    follow,
  )
  return state
}
