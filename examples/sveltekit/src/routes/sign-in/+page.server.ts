import { fail, redirect, type RequestEvent } from '@sveltejs/kit'
import { WatchwordError } from '@watchword/client/server'
import { ownPath } from '$lib/server/session'
import type { Actions, PageServerLoad } from './$types'

/** Messages for the errors of a sign-in at a provider, by code. Each message says what to do next. */
const messages: Record<string, string> = {
  LINK_REQUIRED: 'You have an account here. Sign in to it once to connect this provider.',
  PROVIDER_REFUSED: 'The sign-in with the provider was not completed. Try again, or sign in in another way.',
  EMAIL_NOT_VERIFIED: 'Check your inbox. We emailed you the next step.',
  ACCOUNT_DISABLED: 'This account is disabled.',
  SIGNUP_CLOSED: 'Sign-up is closed.',
}

export const load: PageServerLoad = async ({ locals, url }) => {
  const to = ownPath(url.searchParams.get('to'))
  if (await locals.auth.session()) redirect(303, to)
  const providers = await locals.auth.providers().catch(() => []) // without the list, the form still works
  const error = url.searchParams.get('error')
  return {
    to,
    providers: providers.map(({ id, name }) => ({ id, name })),
    message: error === null ? undefined : (messages[error] ?? 'This did not work. Try again.'),
  }
}

export const actions: Actions = {
  login: (event) =>
    handleForm(event, async (credentials, form) => {
      await event.locals.auth.login({ ...credentials, remember: form.get('remember') === 'on' })
    }),
  register: (event) =>
    handleForm(event, async (credentials) => {
      const result = await event.locals.auth.register(credentials)
      return 'message' in result ? result.message : undefined // the user must confirm the address first
    }),
  /** Redirects to an external provider, which redirects back to routes/sign-in/return. */
  async signInWith({ request, locals }) {
    const form = await request.formData()
    const to = encodeURIComponent(ownPath(form.get('to')))
    redirect(303, await locals.auth.signInWith(String(form.get('provider')), `/sign-in/return?to=${to}`))
  },
}

type SignIn = (credentials: { email: string; password: string }, form: FormData) => Promise<string | void>

/** Signs in and redirects. If the sign-in fails, it returns the data for the form, without the password. */
async function handleForm({ request }: RequestEvent, signIn: SignIn) {
  const form = await request.formData()
  const [email, password] = [String(form.get('email')), String(form.get('password'))]
  const to = ownPath(form.get('to'))
  try {
    const message = await signIn({ email, password }, form)
    if (message) return { email, to, message, fields: {} as Record<string, string> }
  } catch (error) {
    if (!(error instanceof WatchwordError)) throw error
    if (error.code === 'SECOND_FACTOR_REQUIRED') redirect(303, `/sign-in/second-step?to=${encodeURIComponent(to)}`)
    const fields = Object.fromEntries(error.fields.map(({ field, message }) => [field, message]))
    return fail(error.status || 503, { email, to, message: error.message, fields })
  }
  redirect(303, to) // redirect throws, so it is not in the try block
}
