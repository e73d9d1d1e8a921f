import { requireSession } from '$lib/server/session'
import type { PageServerLoad } from './$types'

export const load: PageServerLoad = async (event) => {
  const session = await requireSession(event)
  return { isAllowed: session.roles.includes('admin') }
}
