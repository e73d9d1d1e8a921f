import { AuthClient, AuthError, type User } from './auth-client'

export const auth = new AuthClient(import.meta.env.VITE_WATCHWORD_URL ?? 'http://localhost:8080', show)

const element = (id: string): HTMLElement => document.getElementById(id)!
const write = (id: string, text: string): void => void (element(id).textContent = text)

/** What each form and button does. */
const acts: Record<string, (entered: (name: string) => string) => Promise<string | void>> = {
  restore: () => auth.restore(),
  register: (entered) => auth.register(entered('email'), entered('password'), entered('name')),
  login: (entered) => auth.login(entered('email'), entered('password')),
  profile: () => profile(),
  logout: () => auth.logout(),
  logoutAll: () => auth.logoutAll(),
}

/** Does one, and says how it went. */
async function act(name: string, form?: HTMLFormElement): Promise<void> {
  const entered = new FormData(form)
  write('error', '')
  write('said', '')
  document.body.ariaBusy = 'true'
  try {
    write('said', (await acts[name]!((field) => String(entered.get(field) ?? ''))) ?? '')
  } catch (error) {
    write('error', error instanceof AuthError ? error.message : "The server can't be reached. Try again.")
    // What the server says of the session is for a refresh to find out: if that is refused too, the form is shown.
    if (error instanceof AuthError && error.code === 'SESSION_ENDED') await auth.refresh().catch(() => {})
  }
  document.body.ariaBusy = null
}

/** Shows the page of whoever is signed in. */
function show(user?: User): void {
  const isNew = element('account').hidden // and not only a new token for the same page
  open(user ? 'account' : 'sign-in')
  if (!user) return
  write('email', user.email)
  write('name', user.name || '–')
  write('roles', user.roles.join(', ') || '–')
  if (isNew) void act('profile')
}

function open(section: string): void {
  for (const one of document.querySelectorAll('section')) one.hidden = one.id !== section
  for (const form of document.querySelectorAll('form')) form.reset()
}

/** Two requests at once: if the token has expired, one refresh serves both. */
async function profile(): Promise<void> {
  const [{ user }, { sessions }] = await Promise.all([
    ask<{ user: User }>('/api/auth/me'),
    ask<{ sessions: unknown[] }>('/api/auth/sessions'),
  ])
  write('roles', user.roles.join(', ') || '–')
  write('sessions', String(sessions.length))
}

async function ask<T>(path: string): Promise<T> {
  const response = await auth.fetch(path)
  if (!response.ok) throw await AuthError.of(response)
  return response.json()
}

document.addEventListener('submit', (event) => {
  event.preventDefault()
  const form = event.target as HTMLFormElement
  void act(form.dataset.act!, form)
})
document.addEventListener('click', ({ target }) => {
  if (!(target instanceof HTMLButtonElement)) return
  if (target.dataset.show) open(target.dataset.show)
  if (target.dataset.act) void act(target.dataset.act)
})

void act('restore')
