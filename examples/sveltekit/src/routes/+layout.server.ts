import type { LayoutServerLoad } from './$types'

/** The session for the links in the header. Each page checks the session itself. */
export const load: LayoutServerLoad = async ({ locals }) => {
  const session = await locals.auth.session()
  return { isSignedIn: session !== undefined, isAdmin: session?.roles.includes('admin') ?? false }
}
