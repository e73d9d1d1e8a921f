"use client" // for frameworks with server components: the hooks need the browser

import { useSyncExternalStore } from "react"
import type { Client, FactorProof, Snapshot, StepUpChallenge } from "./index.js"

/** Returns the client's snapshot, and renders the component again when it changes. */
export function useSession(client: Pick<Client, "onChange" | "getSnapshot">): Snapshot {
  return useSyncExternalStore(client.onChange, client.getSnapshot, client.getSnapshot)
}

/** A dialog that asks the user for a proof. */
export interface StepUpPrompt {
  /** The proof that the waiting requests need. undefined: no request waits, so show no dialog. */
  readonly challenge: StepUpChallenge | undefined
  /** Sends the proof. If it is right, the waiting requests are sent again. It throws as client.stepUp does. */
  prove(proof: FactorProof | { password: string }): Promise<void>
  /** Lets the waiting requests end with their 401. */
  cancel(): void
}

/**
 * Handles step-up (`client.onStepUp`) while the component is mounted. Use it in one component that
 * is always there. Several components with one client share one prompt.
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
  const listeners = new Set<() => void>()
  let removeHandler = (): void => {}
  let finish = (): void => {}
  let shown: StepUpPrompt = { challenge: undefined, prove, cancel: () => finish() }

  function show(challenge: StepUpChallenge | undefined): void {
    shown = { ...shown, challenge }
    for (const listener of [...listeners]) listener()
  }
  async function prove(proof: FactorProof | { password: string }): Promise<void> {
    await client.stepUp(proof)
    finish()
  }
  function ask(challenge: StepUpChallenge): Promise<void> {
    show(challenge)
    return new Promise((resolve) => {
      finish = () => {
        finish = () => {}
        show(undefined)
        resolve()
      }
    })
  }
  return {
    subscribe(change) {
      const listener = (): void => change() // a wrapper, because a function may be added twice
      if (listeners.size === 0) removeHandler = client.onStepUp(ask)
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
        if (listeners.size > 0) return
        removeHandler()
        finish() // no dialog is left that could answer
      }
    },
    get: () => shown,
  }
}
