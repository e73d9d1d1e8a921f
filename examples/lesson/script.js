// The lesson's client. Both tokens are only in these two variables, because every script that
// gets into the page can read localStorage, which also outlives the page.
let accessToken = ''
let refreshToken = ''
let refreshing // the promise of the running refresh

const server = document.querySelector('meta[name=watchword]').content

const login = async (entered) => signIn(await post('/login', entered))
const register = async (entered) => signIn(await post('/register', entered))

/** Ends the session with the refresh token, and deletes the tokens when the server has responded. */
async function logout() {
  const token = refreshToken
  await post('/logout', { token })
  forget('You are logged out.')
}

async function load() {
  const { user } = await get('/profile')
  for (const name of ['username', 'email', 'id']) write(name, user[name])
}

/** Sends a request with the access token. If the token is refused, it repeats the request once with a new one. */
async function get(path) {
  const token = accessToken
  let response = await send(path, { headers: { Authorization: `Bearer ${token}` } })
  if (response.status === 401) {
    if (token === accessToken) await refresh() // else another request has renewed it
    response = await send(path, { headers: { Authorization: `Bearer ${accessToken}` } })
  }
  return read(response)
}

/** A refresh token is valid for one refresh, so all callers share the running one. */
function refresh() {
  refreshing ??= renew(refreshToken).finally(() => (refreshing = undefined))
  return refreshing
}

async function renew(token) {
  try {
    const tokens = await post('/token', { token })
    if (token === refreshToken) keep(tokens) // false after a logout during the request
  } catch (error) {
    const isRefused = error.status === 401 || error.status === 403
    if (isRefused && token === refreshToken) forget('Your session has ended. Log in again.')
    throw error // no network, 429 or 503: the token stays valid, and the next request tries again
  }
}

const post = async (path, body) => {
  const headers = { 'Content-Type': 'application/json' }
  return read(await send(path, { method: 'POST', headers, body: JSON.stringify(body) }))
}

/** Omits cookies, because the server would set one with the access token. */
const send = (path, init) => fetch(server + path, { ...init, credentials: 'omit', signal: AbortSignal.timeout(30_000) })

/** Returns JSON or text. An error response has a text to show to the user. */
async function read(response) {
  const text = await response.text()
  const { ok, status } = response
  if (!ok) throw Object.assign(new Error(text || `The server responded ${status}.`), { status })
  return response.headers.get('Content-Type')?.startsWith('application/json') ? JSON.parse(text) : text
}

function keep(tokens) {
  accessToken = tokens.accessToken
  refreshToken = tokens.refreshToken
}

/** Stores the tokens. If the address must be confirmed first, the response is only a text. */
async function signIn(response) {
  if (typeof response === 'string') return write('said', response)
  keep(response)
  show('profile')
  await load()
}

function forget(text) {
  keep({ accessToken: '', refreshToken: '' })
  show('login')
  for (const name of ['username', 'email', 'id']) write(name, '')
  write('said', text)
}

// The page.

const actions = { login, register, logout, load }
const write = (id, text) => (document.getElementById(id).textContent = text)

function show(id) {
  for (const section of document.querySelectorAll('section')) section.hidden = section.id !== id
  for (const form of document.querySelectorAll('form')) form.reset()
  write('error', '')
  write('said', '')
}

async function act(name, entered) {
  write('error', '')
  write('said', '')
  document.body.ariaBusy = 'true'
  try {
    await actions[name](entered)
  } catch (error) {
    const isOver = name === 'load' && !refreshToken // the page already shows that the session has ended
    if (!isOver) write('error', error.status ? error.message : "The server can't be reached. Try again.")
  }
  document.body.ariaBusy = null
}

document.addEventListener('submit', (event) => {
  event.preventDefault()
  act(event.target.dataset.act, Object.fromEntries(new FormData(event.target)))
})
document.addEventListener('click', ({ target }) => {
  if (target.dataset.show) show(target.dataset.show)
  if (target.matches('button[data-act]')) act(target.dataset.act)
})
