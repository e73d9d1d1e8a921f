"use client" // for frameworks with server components: the hooks need the browser

import { useSyncExternalStore } from "react"
import type { Client, FactorProof, Snapshot, StepUpChallenge } from "./index.js"
import { createSharedState } from "./sharedstate.js"

export { useFactors } from "./usefactors.js"
export type { FactorsView } from "./usefactors.js"
export { usePasskeySignIn } from "./usepasskeysignin.js"
export type { PasskeySignIn } from "./usepasskeysignin.js"

/** Returns the client's snapshot, and renders the component again when it changes. */
export function useSession(client: Pick<Client, "onChange" | "getSnapshot">): Snapshot {
  return useSyncExternalStore(client.onChange, client.getSnapshot, client.getSnapshot)
}

/** A dialog that asks the user for a proof. */
export interface StepUpPrompt {
  /** The proof that the waiting requests need. undefined: no request waits, so show no dialog. */
  readonly challenge: StepUpChallenge | undefined
  /**
   * Sends the proof. If it is right, the waiting requests are sent again. It throws as client.stepUp
   * does. `prove(passkeys.stepUp)` asks for a passkey. The dialog stays open if the user cancels it.
   */
  prove(proof: FactorProof | { password: string } | (() => Promise<{ cancelled: boolean }>)): Promise<void>
  /** Closes the dialog without a proof. The waiting calls of `fetch` then return their 401 responses. */
  cancel(): void
}

/**
 * Handles step-up (`client.onStepUp`) while the component is mounted. Use it in one component that
 * is always mounted. Several components with one client share one prompt.
 */
export function useStepUp(client: Pick<Client, "onStepUp" | "stepUp">): StepUpPrompt {
  const known = prompts.get(client)
  const prompt = known ?? createPrompt(client)
  if (!known) prompts.set(client, prompt)
  return useSyncExternalStore(prompt.subscribe, prompt.get, prompt.get)
}

interface Prompt {
  subscribe(change: () => void): () => void
  get(): StepUpPrompt
}

const prompts = new WeakMap<object, Prompt>()

function createPrompt(client: Pick<Client, "onStepUp" | "stepUp">): Prompt {
  let finish = (): void => {}

  const prove: StepUpPrompt["prove"] = async (proof) => {
    if (typeof proof !== "function") await client.stepUp(proof)
    else if ((await proof()).cancelled) return
    finish()
  }
  function ask(challenge: StepUpChallenge): Promise<void> {
    state.set({ challenge })
    return new Promise((resolve) => {
      finish = () => {
        finish = () => {}
        state.set({ challenge: undefined })
        resolve()
      }
    })
  }
  const state = createSharedState<StepUpPrompt>({ challenge: undefined, prove, cancel: () => finish() }, () => {
    const removeHandler = client.onStepUp(ask)
    return () => {
      removeHandler()
      finish() // no mounted component can show the dialog
    }
  })
  return state
}
