// Adds a factor for a signed-in user, or for a sign-in that waits for the account's first factor.

import type { FactorAnswer, SignIn } from "./api.js"
import type { Client, Parts } from "./client.js"
import { handleOf, signIn } from "./signin.js"

/**
 * After ENROLMENT_REQUIRED, requests send the challenge instead of an access token.
 */
function isEnrolmentWaiting({ handle, session }: Parts): boolean {
  return handle !== undefined && !session.snapshot.user
}

export function beginFactor<T>(parts: Parts, path: string): Promise<T> {
  return isEnrolmentWaiting(parts) ? parts.post(path, handleOf(parts)) : parts.callAsUser("POST", path)
}

/** Adds the factor. If a sign-in waits for this factor, it also signs in. */
export async function confirmFactor(
  client: Client<object>,
  parts: Parts,
  path: string,
  body: object,
): Promise<FactorAnswer> {
  if (!isEnrolmentWaiting(parts)) {
    return renewAfterChange(client, await parts.callAsUser<FactorAnswer>("POST", path, body))
  }
  const response = await signIn<SignIn & FactorAnswer>(parts, path, { ...body, ...handleOf(parts) })
  const { factor, recoveryCodes } = response
  return { factor, ...(recoveryCodes && { recoveryCodes }) }
}

/**
 * Renews the access token, because its level has changed. A failure is ignored, because the caller must get the
 * response, which may contain recovery codes.
 */
export async function renewAfterChange<T>(client: Client<object>, response: T): Promise<T> {
  await client.refresh().catch(() => {})
  return response
}
