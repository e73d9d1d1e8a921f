import { AuthClient, AuthError, type User } from './auth-client'

export const auth = new AuthClient(import.meta.env.VITE_WATCHWORD_URL ?? 'http://localhost:8080', showAccount)

const element = (id: string): HTMLElement => document.getElementById(id)!
const write = (id: string, text: string): void => void (element(id).textContent = text)

/** The actions of the page, by the name of the form or button. */
const actions: Record<string, (entered: (name: string) => string) => Promise<string | void>> = {
  restore: () => auth.restore(),
  register: (entered) => auth.register(entered('email'), entered('password'), entered('name')),
  login: (entered) => auth.login(entered('email'), entered('password')),
  profile: () => profile(),
  logout: () => auth.logout(),
  logoutAll: () => auth.logoutAll(),
}

async function runAction(name: string, form?: HTMLFormElement): Promise<void> {
  const entered = new FormData(form)
  write('error', '')
  write('said', '')
  document.body.ariaBusy = 'true'
  try {
    write('said', (await actions[name]!((field) => String(entered.get(field) ?? ''))) ?? '')
  } catch (error) {
    write('error', error instanceof AuthError ? error.message : "The server can't be reached. Try again.")
    // The session has ended. The refresh then fails with a 401, so the client signs out and the page shows the form.
    if (error instanceof AuthError && error.code === 'SESSION_ENDED') await auth.refresh().catch(() => {})
  }
  document.body.ariaBusy = null
}

/** Without a user, it shows the form to sign in. */
function showAccount(user?: User): void {
  const isNew = element('account').hidden // false if only the token was renewed
  open(user ? 'account' : 'sign-in')
  if (!user) return
  write('email', user.email)
  write('name', user.name || '–')
  write('roles', user.roles.join(', ') || '–')
  if (isNew) void runAction('profile')
}

function open(section: string): void {
  for (const one of document.querySelectorAll('section')) one.hidden = one.id !== section
  for (const form of document.querySelectorAll('form')) form.reset()
}

/** Sends two requests at the same time. If the token has expired, both share one refresh. */
async function profile(): Promise<void> {
  const [{ user }, { sessions }] = await Promise.all([
    getJSON<{ user: User }>('/api/auth/me'),
    getJSON<{ sessions: unknown[] }>('/api/auth/sessions'),
  ])
  write('roles', user.roles.join(', ') || '–')
  write('sessions', String(sessions.length))
}

async function getJSON<T>(path: string): Promise<T> {
  const response = await auth.fetch(path)
  if (!response.ok) throw await AuthError.of(response)
  return response.json()
}

document.addEventListener('submit', (event) => {
  event.preventDefault()
  const form = event.target as HTMLFormElement
  void runAction(form.dataset.act!, form)
})
document.addEventListener('click', ({ target }) => {
  if (!(target instanceof HTMLButtonElement)) return
  if (target.dataset.show) open(target.dataset.show)
  if (target.dataset.act) void runAction(target.dataset.act)
})

void runAction('restore')
