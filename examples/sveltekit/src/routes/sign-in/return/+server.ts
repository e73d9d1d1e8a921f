import { redirect } from '@sveltejs/kit'
import { WatchwordError } from '@watchword/client/server'
import { ownPath } from '$lib/server/session'
import type { RequestHandler } from './$types'

/**
 * The page to which an external provider redirects back, with a code in the URL. The page ends with a redirect, so
 * the URL with the code does not stay in the browser's history.
 */
export const GET: RequestHandler = async ({ locals, url }) => {
  const to = ownPath(url.searchParams.get('to'))
  const query = new URLSearchParams({ to })
  try {
    await locals.auth.finishSignInWith(url)
  } catch (error) {
    if (!(error instanceof WatchwordError)) throw error
    if (error.code === 'SECOND_FACTOR_REQUIRED') redirect(303, `/sign-in/second-step?${query}`)
    query.set('error', error.code)
    redirect(303, `/sign-in?${query}`)
  }
  redirect(303, to)
}
