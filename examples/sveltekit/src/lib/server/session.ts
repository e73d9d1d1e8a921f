import { redirect, type RequestEvent } from '@sveltejs/kit'
import { origin } from './watchword'

/**
 * Returns the identity. It redirects a visitor to the sign-in page, which redirects back to this page after the
 * sign-in.
 */
export async function requireSession({ locals, url }: Pick<RequestEvent, 'locals' | 'url'>) {
  const session = await locals.auth.session()
  if (!session) redirect(303, `/sign-in?to=${encodeURIComponent(url.pathname)}`)
  return session
}

/** Returns the path only if it belongs to this application, so that a link can't redirect to another site. */
export function ownPath(to: unknown): string {
  if (typeof to !== 'string' || !URL.canParse(to, origin)) return '/account'
  const url = new URL(to, origin)
  return url.origin === origin ? url.pathname + url.search : '/account'
}
