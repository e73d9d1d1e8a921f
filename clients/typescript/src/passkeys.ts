// Passkeys in a page: creation, sign-in and step-up.

import type { Challenge, FactorAnswer, SignIn, UserAnswer } from "./api.js"
import { runWithDialog, suggest, type Chosen } from "./autofill.js"
import { askBrowser, browserPasskeys, type Ceremony } from "./ceremony.js"
import { partsKey, type Client, type Parts } from "./client.js"
import { beginFactor, confirmFactor } from "./enrolment.js"
import { WatchwordError, type WatchwordErrorCode } from "./error.js"
import { signalUnknown } from "./signal.js"
import { signIn } from "./signin.js"

/** The result of a request that its user can cancel. Browsers report a timeout as a cancellation. */
export type Outcome<T extends object> = ({ cancelled: false } & T) | { cancelled: true }

/** The passkey features of this browser. */
export interface PasskeyCapabilities {
  /** Whether the browser can create and use passkeys. If not, hide the buttons. */
  passkeys: boolean
  /** Whether the browser suggests passkeys in the field for the address (conditional mediation). */
  autofill: boolean
  /** Whether the browser can create a passkey without a dialog. */
  upgrade: boolean
}

/** Aborting the signal cancels the request. */
export interface PasskeyOptions {
  signal?: AbortSignal
}

export interface PasskeySignInOptions extends PasskeyOptions {
  /** As `remember` of client.login. */
  remember?: boolean
}

export interface PasskeySecondStepOptions extends PasskeyOptions {
  /** As `rememberDevice` of client.loginFactor. */
  rememberDevice?: boolean
}

export interface PasskeyCreateOptions extends PasskeyOptions {
  /** The name in the list of factors. Default: the authenticator's product name, if the server knows it. */
  name?: string
}

/**
 * A method returns `{ cancelled: true }` if the user closes the dialog of the browser, does not
 * respond in time, or starts another request. All other failures throw a WatchwordError, and
 * `nextStep` returns the step to offer.
 */
export interface Passkeys {
  capabilities(): Promise<PasskeyCapabilities>
  /** Signs in with a passkey alone. The user needs no address, no password and no second step. */
  signIn(options?: PasskeySignInOptions): Promise<Outcome<UserAnswer>>
  /**
   * Signs in with a passkey that the browser suggests in a field with
   * `autocomplete="username webauthn"`. Call it when the sign-in page opens, and abort the signal when
   * the page closes. It waits until the user chooses a passkey or signs in another way, even while
   * other requests for passkeys run. It throws only after a choice: show the error, and call autofill
   * again.
   */
  autofill(options?: PasskeySignInOptions): Promise<Outcome<UserAnswer>>
  /**
   * Completes a sign-in that threw SECOND_FACTOR_REQUIRED with `passkey` in the methods of its
   * `challenge`. After a cancellation, it can be called again with the same challenge.
   */
  completeSignIn(challenge: Challenge, options?: PasskeySecondStepOptions): Promise<Outcome<UserAnswer>>
  /**
   * Creates a passkey for the user. With the first factor, the response has recovery codes: show them,
   * because the server does not return them again. After a sign-in that threw ENROLMENT_REQUIRED, it
   * also signs in.
   */
  add(options?: PasskeyCreateOptions): Promise<Outcome<FactorAnswer>>
  /**
   * Creates a passkey without a dialog, if browser and server allow it. Call it after a sign-in by
   * password, and don't wait for it: some browsers never respond.
   */
  upgrade(options?: PasskeyCreateOptions): Promise<Outcome<FactorAnswer>>
  /**
   * Sends a passkey as a new proof, as client.stepUp does with a code. It throws NOT_FOUND for an
   * account without a passkey: ask for another proof.
   */
  stepUp(options?: PasskeyOptions): Promise<Outcome<object>>
}

const cancelled = { cancelled: true } as const
const done = <T extends object>(value: T): { cancelled: false } & T => ({ cancelled: false, ...value })

/** Returns the methods for passkeys. They work in pages only. */
export function createPasskeys(client: Client<object>): Passkeys {
  const parts = (client as Client & { [partsKey]: Parts })[partsKey]
  return {
    capabilities,
    signIn: (options = {}) =>
      runWithDialog(async () => {
        const begun = await beginSignIn(parts)
        const { credential } = await askBrowser("get", begun.publicKey, options)
        return credential ? done(await finishSignIn(parts, { begun, credential }, options)) : cancelled
      }),
    async autofill(options = {}) {
      if (!(await capabilities()).autofill) return cancelled
      const { signal } = options
      const chosen = await suggest({ session: parts.session, begin: () => beginSignIn(parts), signal })
      return chosen ? done(await finishSignIn(parts, chosen, options)) : cancelled
    },
    completeSignIn: ({ passkey }, { signal, rememberDevice } = {}) =>
      runWithDialog(async () => {
        if (!passkey) throw new WatchwordError("NOT_FOUND", "This sign-in accepts no passkey. Choose another way.")
        const { credential } = await askBrowser("get", passkey.publicKey, { signal })
        if (!credential) return cancelled
        return done(await client.loginFactor({ passkey: credential, ...(rememberDevice && { rememberDevice }) }))
      }),
    add: (options = {}) =>
      runWithDialog(async () => create(client, parts, await beginFactor(parts, optionsPath), options)),
    upgrade: (options) => upgrade(client, parts, options),
    stepUp: (options = {}) =>
      runWithDialog(async () => {
        const begun = await parts.callAsUser<Ceremony>("POST", "step-up/options", undefined, false)
        const { credential } = await askBrowser("get", begun.publicKey, options)
        if (!credential) return cancelled
        await client.stepUp({ passkey: credential })
        return done({})
      }),
  }
}

async function capabilities(): Promise<PasskeyCapabilities> {
  const browser = browserPasskeys()
  const known: Record<string, boolean | undefined> = (await browser?.getClientCapabilities?.().catch(() => {})) ?? {}
  const autofill = known.conditionalGet ?? (await browser?.isConditionalMediationAvailable?.().catch(() => {}))
  return { passkeys: !!browser, autofill: !!autofill, upgrade: !!known.conditionalCreate }
}

const beginSignIn = ({ post }: Parts): Promise<Ceremony> => post("passkey/options")

async function finishSignIn(parts: Parts, chosen: Chosen, options: PasskeySignInOptions): Promise<UserAnswer> {
  const { begun, credential } = chosen
  const { remember } = options
  const body = { ceremony: begun.ceremony, credential, ...(remember !== undefined && { remember }) }
  try {
    const { user } = await signIn<SignIn>(parts, "passkey/login", body)
    return { user }
  } catch (error) {
    // If the server does not know the passkey, the browser is told to forget it. After any other error, the passkey
    // may still be valid, so the browser keeps it.
    const fields = error instanceof WatchwordError ? error.fields : []
    if (fields.some(({ field, code }) => field === "credential" && code === "UNKNOWN")) {
      signalUnknown(begun.publicKey.rpId, credential)
    }
    throw error
  }
}

const path = "factors/passkeys"
const optionsPath = `${path}/options`

async function create(
  client: Client<object>,
  parts: Parts,
  { ceremony, publicKey, mediation }: Ceremony,
  { name, signal }: PasskeyCreateOptions,
): Promise<Outcome<FactorAnswer>> {
  const { credential } = await askBrowser("create", publicKey, { mediation, signal })
  if (!credential) return cancelled
  try {
    return done(await confirmFactor(client, parts, path, { ceremony, credential, ...(name && { name }) }))
  } catch (error) {
    // If the server has refused the passkey, the browser is told not to suggest it. After a lost response the browser
    // keeps it, because the server may have stored it.
    const { status = 0 } = error as Partial<WatchwordError>
    if (status >= 400 && status < 500) signalUnknown(publicKey.rp?.id, credential)
    throw error
  }
}

/** The errors of a refused upgrade. They are hidden, because the user did not start the upgrade. */
const noUpgrade: readonly WatchwordErrorCode[] = [
  "STEP_UP_REQUIRED", "FACTOR_LIMIT", "EMAIL_NOT_VERIFIED", "NOT_FOUND", "PASSKEY_EXISTS",
]

async function upgrade(
  client: Client<object>,
  parts: Parts,
  options: PasskeyCreateOptions = {},
): Promise<Outcome<FactorAnswer>> {
  if (!parts.session.snapshot.user || !(await capabilities()).upgrade) return cancelled
  try {
    const begun = await parts.callAsUser<Ceremony>("POST", optionsPath, { upgrade: true }, false)
    return await create(client, parts, begun, options)
  } catch (error) {
    if (error instanceof WatchwordError && noUpgrade.includes(error.code)) return cancelled
    throw error
  }
}
