// The lesson's client. Both tokens are in these two variables and nowhere else: what is in
// localStorage can be read by every script that ever gets into the page, and stays there.
let accessToken = ''
let refreshToken = ''
let refreshing // the refresh that is on its way, if one is

const server = document.querySelector('meta[name=watchword]').content

const login = async (entered) => become(await post('/login', entered))
const register = async (entered) => become(await post('/register', entered))

/** The refresh token is what ends the session: it is read before it is forgotten, and forgotten when that is done. */
async function logout() {
  const token = refreshToken
  await post('/logout', { token })
  forget('You are logged out.')
}

async function load() {
  const { user } = await get('/profile')
  for (const name of ['username', 'email', 'id']) write(name, user[name])
}

/** Asks with the access token; if that is refused, with a new one, and then no more. */
async function get(path) {
  const token = accessToken
  let response = await send(path, { headers: { Authorization: `Bearer ${token}` } })
  if (response.status === 401) {
    if (token === accessToken) await refresh() // else another request has seen to it
    response = await send(path, { headers: { Authorization: `Bearer ${accessToken}` } })
  }
  return read(response)
}

/** A refresh token is good for one refresh: all who need one wait for the same. */
function refresh() {
  refreshing ??= renew(refreshToken).finally(() => (refreshing = undefined))
  return refreshing
}

async function renew(token) {
  try {
    const tokens = await post('/token', { token })
    if (token === refreshToken) keep(tokens) // or somebody has logged out meanwhile
  } catch (error) {
    const isRefused = error.status === 401 || error.status === 403
    if (isRefused && token === refreshToken) forget('Your session has ended. Log in again.')
    throw error // no network, 429 or 503: the token is good, and the next request tries again
  }
}

const post = async (path, body) =>
  read(await send(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }))

/** Without cookies: the server would set one with the access token. */
const send = (path, init) => fetch(server + path, { ...init, credentials: 'omit', signal: AbortSignal.timeout(30_000) })

/** What is no JSON is a text: for people, and for us if the server refuses. */
async function read(response) {
  const text = await response.text()
  if (!response.ok) throw Object.assign(new Error(text || `The server answered ${response.status}.`), { status: response.status })
  return response.headers.get('Content-Type')?.startsWith('application/json') ? JSON.parse(text) : text
}

function keep(tokens) {
  accessToken = tokens.accessToken
  refreshToken = tokens.refreshToken
}

/** Who has to confirm the address first gets no tokens, but a text. */
async function become(answer) {
  if (typeof answer === 'string') return write('said', answer)
  keep(answer)
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

const acts = { login, register, logout, load }
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
    await acts[name](entered)
  } catch (error) {
    const isOver = name === 'load' && !refreshToken // which the page says already
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
