// Step-up (RFC 9470): a 401 that requires a stronger or newer proof from the user.

import type { WatchwordError } from "./error.js"

/** The proof that a request needs before the server acts. */
export interface StepUpChallenge {
  /** The levels that the server accepts, such as ["aal2"]. Empty: any. */
  readonly acrValues: readonly string[]
  /** The maximum age of the proof in seconds. Infinity: any age. */
  readonly maxAge: number
}

/**
 * Asks the user for a proof, and calls `stepUp` with it. If `stepUp` has succeeded when the handler returns, the
 * request is sent once more. Otherwise the request returns its 401. If the handler throws, the request throws the
 * same error.
 */
export type StepUpHandler = (challenge: StepUpChallenge) => void | Promise<void>

export interface StepUps {
  /** The number of successful proofs. A request compares it, because its token may be older than the last proof. */
  readonly count: number
  proven(): void
  onStepUp(handler: StepUpHandler): () => void
  /**
   * Calls the handler once for all requests that wait. If a proof has succeeded since `count`, it does not call the
   * handler. It reports whether a proof has succeeded. If the signal is aborted, it throws the signal's reason.
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
 * Returns the step-up challenge in the WWW-Authenticate header of a 401. It also checks the error code, because
 * scripts can read headers of another origin only if its server exposes them.
 */
export function stepUpChallenge({ code }: WatchwordError, header: string): StepUpChallenge | undefined {
  if (!/insufficient_user_authentication|STEP_UP_REQUIRED/i.test(code + header)) return undefined
  const parameter = (name: string): string | undefined => RegExp(`${name}="?([^",]*)`).exec(header)?.[1]
  return { acrValues: parameter("acr_values")?.split(" ") ?? [], maxAge: Number(parameter("max_age") ?? Infinity) }
}
