import { fail, redirect } from '@sveltejs/kit'
import { WatchwordError } from '@watchword/client/server'
import { ownPath } from '$lib/server/session'
import type { Actions, PageServerLoad } from './$types'

const signInPath = (to: string) => `/sign-in?to=${encodeURIComponent(to)}`

/** Asks for the second factor. A cookie keeps the challenge, so the page can be loaded again. */
export const load: PageServerLoad = ({ locals, url }) => {
  const to = ownPath(url.searchParams.get('to'))
  const challenge = locals.auth.challenge()
  if (!challenge) redirect(303, signInPath(to))
  const days = Math.floor((challenge.rememberFor ?? 0) / (24 * 60 * 60))
  return { to, hasApp: challenge.methods.includes('totp'), days }
}

export const actions: Actions = {
  /** Completes the sign-in with a six-digit code of the app, or with a recovery code. */
  async default({ request, locals }) {
    const form = await request.formData()
    const [to, code] = [ownPath(form.get('to')), String(form.get('code')).replace(/\s/g, '')]
    const proof = /^\d{6}$/.test(code) ? { totp: code } : { recoveryCode: code }
    try {
      await locals.auth.loginFactor({ ...proof, rememberDevice: form.get('remember') === 'on' })
    } catch (error) {
      if (!(error instanceof WatchwordError)) throw error
      // The sign-in took too long, or there were too many wrong codes.
      if (error.code === 'CHALLENGE_INVALID') redirect(303, signInPath(to))
      return fail(error.status || 503, { to, message: error.message })
    }
    redirect(303, to)
  },
}
