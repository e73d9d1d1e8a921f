// Step-up (RFC 9470): a 401 that asks the user for a stronger or a newer proof.

import type { WatchwordError } from "./error.js"

/** The proof that a request needs before the server acts. */
export interface StepUpChallenge {
  /** The levels that the server accepts, such as ["aal2"]. Empty: any. */
  readonly acrValues: readonly string[]
  /** How many seconds ago the proof may be. Infinity: any time. */
  readonly maxAge: number
}

/**
 * Asks the user for a proof, and calls `stepUp` with it. When it returns, the request is sent once
 * more if the user has proven, and otherwise ends with its 401. An error that it throws is the
 * error of the request.
 */
export type StepUpHandler = (challenge: StepUpChallenge) => void | Promise<void>

export interface StepUps {
  /** How often the user has proven. A request compares it, because its token may be older than the last proof. */
  readonly count: number
  proven(): void
  onStepUp(handler: StepUpHandler): () => void
  /**
   * Calls the handler, once for all requests that wait, unless the user has proven since `count`.
   * It reports whether the user has. It throws the reason of the signal.
   */
  ask(challenge: StepUpChallenge, count: number, signal: AbortSignal | null | undefined): Promise<boolean>
}

export function createStepUps(): StepUps {
  let current: StepUpHandler | undefined
  let running: Promise<void> | undefined
  let proofs = 0
  return {
    get count() { return proofs },
    proven: () => void proofs++,
    onStepUp(handler) {
      current = handler
      return () => {
        if (current === handler) current = undefined
      }
    },
    async ask(challenge, count, signal) {
      const run = async (): Promise<void> => current?.(challenge)
      if (proofs === count) {
        running ??= run().finally(() => (running = undefined))
        await Promise.race([running, aborted(signal)])
      }
      return proofs > count
    },
  }
}

function aborted(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true })
  })
}

/**
 * Returns the challenge of a 401 with this WWW-Authenticate. The code counts too, because a script
 * can't read a header that a service on another origin does not expose.
 */
export function stepUpChallenge({ code }: WatchwordError, header: string): StepUpChallenge | undefined {
  if (!/insufficient_user_authentication|STEP_UP_REQUIRED/i.test(code + header)) return undefined
  const parameter = (name: string): string | undefined => RegExp(`${name}="?([^",]*)`).exec(header)?.[1]
  return { acrValues: parameter("acr_values")?.split(" ") ?? [], maxAge: Number(parameter("max_age") ?? Infinity) }
}
