// Adds a factor for a signed-in user, or for a sign-in that waits for the account's first factor.

import type { FactorAnswer, SignIn } from "./api.js"
import type { Client, Parts } from "./client.js"
import { handleOf, signIn } from "./signin.js"

/**
 * Reports whether a sign-in has thrown ENROLMENT_REQUIRED. Requests then send its challenge instead of an access
 * token.
 */
function isWaiting({ handle, session }: Parts): boolean {
  return handle !== undefined && !session.snapshot.user
}

/** Requests the data for a new factor, such as a secret. */
export function beginFactor<T>(parts: Parts, path: string): Promise<T> {
  return isWaiting(parts) ? parts.post(path, handleOf(parts)) : parts.callAsUser("POST", path)
}

/** Adds the factor. If a sign-in waits for this factor, it also signs in. */
export async function confirmFactor(
  client: Client<object>,
  parts: Parts,
  path: string,
  body: object,
): Promise<FactorAnswer> {
  if (!isWaiting(parts)) return renewed(client, await parts.callAsUser<FactorAnswer>("POST", path, body))
  const response = await signIn<SignIn & FactorAnswer>(parts, path, { ...body, ...handleOf(parts) })
  const { factor, recoveryCodes } = response
  return { factor, ...(recoveryCodes && { recoveryCodes }) }
}

/**
 * Renews the access token, whose level has changed. It ignores a failure, because the caller must get the response,
 * which may contain recovery codes.
 */
export async function renewed<T>(client: Client<object>, response: T): Promise<T> {
  await client.refresh().catch(() => {})
  return response
}
