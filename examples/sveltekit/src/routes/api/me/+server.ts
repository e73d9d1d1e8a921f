import { json } from '@sveltejs/kit'
import type { RequestHandler } from './$types'

export const GET: RequestHandler = async ({ locals }) => {
  const session = await locals.auth.session()
  if (!session) return json({ error: 'Sign in first.' }, { status: 401 })
  return json({ subject: session.subject, roles: session.roles })
}
