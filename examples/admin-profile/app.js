// An application with a profile for each account of Watchword. It creates the profile when a new user comes,
// sets the plan, and signs the user out. For the last two it calls Watchword with a service key.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createAdmin } from '@watchword/admin'
import { Verifier } from '@watchword/verify'
import { identityOf, protect } from '@watchword/verify/express'

const { WATCHWORD_URL, WATCHWORD_KEY, PORT = '3000', TABLE = 'profiles.json' } = process.env
const admin = createAdmin({ url: WATCHWORD_URL, key: WATCHWORD_KEY })
const signedIn = protect(new Verifier(WATCHWORD_URL)).require()

// The table of profiles, by user id. In your application it is a table of your database.
const profiles = new Map(existsSync(TABLE) ? JSON.parse(readFileSync(TABLE, 'utf8')) : [])

function save(id, profile) {
  profiles.set(id, profile)
  writeFileSync(`${TABLE}.new`, JSON.stringify([...profiles]))
  renameSync(`${TABLE}.new`, TABLE)
  return { id, ...profile }
}

/** Returns the profile of a user. The first request after the sign-up creates it. */
async function profileOf(id) {
  const profile = profiles.get(id)
  if (profile) return { id, ...profile }
  const { user } = await admin.users.get(id)
  return setPlan(id, 'free', user.name || user.email)
}

/**
 * Stores the plan in the metadata of the account first, and then in the row. If the program ends between
 * the two, the next call repairs it. With claims=plan=@public.plan, access tokens have the plan too.
 */
async function setPlan(id, plan, name = profiles.get(id)?.name) {
  await admin.metadata.patch(id, { public: { plan } })
  return save(id, { name, plan })
}

// In your application, only your staff may call POST.
const routes = {
  'GET /': () => Object.keys(routes),
  'GET /profile': (request) => profileOf(identityOf(request).subject),
  'POST /plan': (request, { id, plan }) => setPlan(id, plan),
  'POST /sign-out': (request, { id }) => admin.sessions.endAll(id),
}

async function respond(request, response) {
  let [status, body] = [404, { error: 'NOT_FOUND' }]
  try {
    let text = ''
    for await (const part of request) text += part
    const route = routes[`${request.method} ${request.url}`]
    if (route) [status, body] = [200, await route(request, JSON.parse(text || '{}'))]
  } catch (error) {
    console.error(error) // it never contains the key
    status = error.status || 500 // of Watchword's response
    body = { error: error.code ?? 'INTERNAL' }
  }
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}

createServer((request, response) => {
  if (request.url !== '/profile') return respond(request, response)
  signedIn(request, response, () => respond(request, response))
}).listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://localhost:${PORT}`))
