import { fail, redirect, type RequestEvent } from '@sveltejs/kit'
import { WatchwordError } from '@watchword/client/server'
import { pathOf } from '$lib/server/session'
import type { Actions, PageServerLoad } from './$types'

export const load: PageServerLoad = async ({ locals, url }) => {
  const to = pathOf(url.searchParams.get('to'))
  if (await locals.auth.session()) redirect(303, to)
  return { to }
}

export const actions: Actions = {
  login: (event) =>
    handleForm(event, async (credentials, form) => {
      await event.locals.auth.login({ ...credentials, remember: form.get('remember') === 'on' })
    }),
  register: (event) =>
    handleForm(event, async (credentials) => {
      const result = await event.locals.auth.register(credentials)
      return 'message' in result ? result.message : undefined // confirm the address first
    }),
}

type SignIn = (credentials: { email: string; password: string }, form: FormData) => Promise<string | void>

/** Redirects after a sign-in. Returns what the form shows otherwise, never the password. */
async function handleForm({ request }: RequestEvent, signIn: SignIn) {
  const form = await request.formData()
  const [email, password] = [String(form.get('email')), String(form.get('password'))]
  const to = pathOf(form.get('to'))
  try {
    const message = await signIn({ email, password }, form)
    if (message) return { email, to, message, fields: {} as Record<string, string> }
  } catch (error) {
    if (!(error instanceof WatchwordError)) throw error
    const fields = Object.fromEntries(error.fields.map(({ field, message }) => [field, message]))
    return fail(error.status || 503, { email, to, message: error.message, fields })
  }
  redirect(303, to) // it throws, so it is outside of try
}
