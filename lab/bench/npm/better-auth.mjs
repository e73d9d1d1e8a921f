// Better Auth with its defaults: sessions in the database, a cookie, scrypt. Rate limits are disabled, as for the
// other servers. With updateAge 0, each read of a session extends and stores it, which is the closest equivalent to a
// refresh. Requests with disableRefresh only read.
import { createServer } from 'node:http'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import Database from 'better-sqlite3'

const { PORT, DATA_DIR, SECRET } = process.env
const database = new Database(`${DATA_DIR}/auth.db`)
database.pragma('journal_mode = WAL')
database.pragma('synchronous = FULL')

const options = {
  baseURL: `http://127.0.0.1:${PORT}`,
  secret: SECRET,
  database,
  emailAndPassword: { enabled: true },
  session: { updateAge: 0 },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
}
await (await getMigrations(options)).runMigrations()
const handle = toNodeHandler(betterAuth(options))

const settings = () => ({
  journal_mode: database.pragma('journal_mode', { simple: true }),
  synchronous: String(database.pragma('synchronous', { simple: true })),
})

const server = createServer((req, res) => {
  if (req.url !== '/settings') return handle(req, res)
  res.setHeader('Content-Type', 'application/json')
  return res.end(JSON.stringify(settings()))
})
server.listen(Number(PORT), '127.0.0.1')
process.on('SIGTERM', () => server.close(() => process.exit(0)))
