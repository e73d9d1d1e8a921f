import { error, redirect } from '@sveltejs/kit'
import { requireSession } from '$lib/server/session'
import { watchwordUrl } from '$lib/server/watchword'
import type { Actions, PageServerLoad } from './$types'

interface Session {
  id: string
  device: string
  lastUsedAt: string
  current: boolean
}

export const load: PageServerLoad = async (event) => {
  await requireSession(event)
  const { auth } = event.locals
  const [user, response] = await Promise.all([auth.me(), auth.fetch(`${watchwordUrl}/api/auth/sessions`)])
  if (!response.ok) error(503)
  const { sessions } = (await response.json()) as { sessions: Session[] }
  // SvelteKit sends this object to the browser, so it has only what the page shows.
  return {
    user: { email: user.email, name: user.name, roles: user.roles },
    sessions: sessions.map(({ id, device, lastUsedAt, current }) => ({ id, device, lastUsedAt, current })),
  }
}

export const actions: Actions = {
  async rename(event) {
    await requireSession(event) // the session may have ended since the page was shown
    const form = await event.request.formData()
    const response = await event.locals.auth.fetch(`${watchwordUrl}/api/auth/me`, {
      method: 'PATCH',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: form.get('name') }),
    })
    if (!response.ok) error(response.status >= 500 ? 503 : response.status)
    redirect(303, '/account')
  },
  async signOut({ locals }) {
    await locals.auth.logout()
    redirect(303, '/')
  },
  async signOutEverywhere(event) {
    await requireSession(event)
    await event.locals.auth.logout({ everywhere: true })
    redirect(303, '/')
  },
}
