// A server as tutorials for Node.js build it: Express, jsonwebtoken and bcrypt. Access tokens are valid for 15
// minutes. Refresh tokens are stored, and each use replaces the token. Unlike most tutorials, this server replaces a
// refresh token in one transaction, which commits durably.
import { createSecretKey, randomUUID } from 'node:crypto'
import bcrypt from 'bcrypt'
import Database from 'better-sqlite3'
import express from 'express'
import jwt from 'jsonwebtoken'
import pg from 'pg'

const { PORT, DATA_DIR, DATABASE_URL, SECRET, SECRET_FORM, POOL } = process.env
// Tutorials pass the secret as a string. At each use, jsonwebtoken then first tries to read the string as a private
// key, which takes half a millisecond. Set SECRET_FORM=string to measure this effect.
const secret = SECRET_FORM === 'string' ? SECRET : createSecretKey(Buffer.from(SECRET))
const bcryptCost = 10
const refreshLife = 7 * 24 * 3600

const store = DATABASE_URL ? await openPostgres() : openSQLite()

const schema = `
  CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS refresh_tokens (
    token TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users (id), expires BIGINT NOT NULL);
  CREATE INDEX IF NOT EXISTS refresh_tokens_user ON refresh_tokens (user_id);`
await store.migrate(schema)

// openSQLite returns the statements for SQLite. The driver is synchronous, so each statement blocks the process until
// its commit is on disk.
function openSQLite() {
  const db = new Database(`${DATA_DIR}/app.db`)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('foreign_keys = ON')
  let statements
  return {
    migrate(text) {
      db.exec(text)
      statements = {
        addUser: db.prepare('INSERT INTO users (id, email, password) VALUES (?, ?, ?)'),
        byEmail: db.prepare('SELECT id, email, password FROM users WHERE email = ?'),
        byId: db.prepare('SELECT id, email FROM users WHERE id = ?'),
        addToken: db.prepare('INSERT INTO refresh_tokens (token, user_id, expires) VALUES (?, ?, ?)'),
        removeToken: db.prepare('DELETE FROM refresh_tokens WHERE token = ? AND expires > ?'),
      }
      statements.replace = db.transaction((old, token, userId, now) => {
        const found = statements.removeToken.run(old, now).changes === 1
        if (found) statements.addToken.run(token, userId, now + refreshLife)
        return found
      })
    },
    addUser: async (...values) => void statements.addUser.run(...values),
    byEmail: async (email) => statements.byEmail.get(email),
    byId: async (id) => statements.byId.get(id),
    addToken: async (...values) => void statements.addToken.run(...values),
    removeToken: async (...values) => void statements.removeToken.run(...values),
    replaceToken: async (...values) => statements.replace(...values),
    settings: async () => ({
      journal_mode: db.pragma('journal_mode', { simple: true }),
      synchronous: String(db.pragma('synchronous', { simple: true })),
    }),
  }
}

async function openPostgres() {
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: Number(POOL) })
  const rows = async (text, ...values) => (await pool.query(text, values)).rows
  return {
    migrate: (text) => pool.query(text),
    addUser: (...v) => rows('INSERT INTO users (id, email, password) VALUES ($1, $2, $3)', ...v),
    byEmail: async (email) => (await rows('SELECT id, email, password FROM users WHERE email = $1', email))[0],
    byId: async (id) => (await rows('SELECT id, email FROM users WHERE id = $1', id))[0],
    addToken: (...v) => rows('INSERT INTO refresh_tokens (token, user_id, expires) VALUES ($1, $2, $3)', ...v),
    removeToken: (...v) => rows('DELETE FROM refresh_tokens WHERE token = $1 AND expires > $2', ...v),
    async replaceToken(old, token, userId, now) {
      const client = await pool.connect()
      try {
        await client.query('BEGIN')
        const { rowCount } = await client.query('DELETE FROM refresh_tokens WHERE token = $1 AND expires > $2', [old, now])
        if (rowCount === 1) {
          await client.query('INSERT INTO refresh_tokens (token, user_id, expires) VALUES ($1, $2, $3)',
            [token, userId, now + refreshLife])
        }
        await client.query('COMMIT')
        return rowCount === 1
      } catch (err) {
        await client.query('ROLLBACK')
        throw err
      } finally {
        client.release()
      }
    },
    async settings() {
      const [{ fsync, synchronous_commit, full_page_writes }] = await rows(`SELECT current_setting('fsync') AS fsync,
        current_setting('synchronous_commit') AS synchronous_commit,
        current_setting('full_page_writes') AS full_page_writes`)
      return { fsync, synchronous_commit, full_page_writes, pool: String(pool.options.max) }
    },
  }
}

const nowSeconds = () => Math.floor(Date.now() / 1000)
const newAccess = (user) => jwt.sign({ email: user.email }, secret, { subject: user.id, expiresIn: '15m' })
const newRefresh = (userId) =>
  jwt.sign({ type: 'refresh' }, secret, { subject: userId, jwtid: randomUUID(), expiresIn: refreshLife })

async function respondSignedIn(res, status, user) {
  const refreshToken = newRefresh(user.id)
  await store.addToken(refreshToken, user.id, nowSeconds() + refreshLife)
  res.status(status).json({ user: { id: user.id, email: user.email }, accessToken: newAccess(user), refreshToken })
}

async function requireSignIn(req, res, next) {
  try {
    req.userId = jwt.verify((req.headers.authorization ?? '').replace(/^Bearer /, ''), secret).sub
  } catch {
    return res.status(401).json({ error: 'invalid token' })
  }
  return next()
}

const app = express()
app.use(express.json())

app.post('/register', async (req, res) => {
  const { email, password } = req.body
  if (await store.byEmail(email)) return res.status(409).json({ error: 'the address has an account' })
  const user = { id: randomUUID(), email }
  await store.addUser(user.id, email, await bcrypt.hash(password, bcryptCost))
  return respondSignedIn(res, 201, user)
})

app.post('/login', async (req, res) => {
  const user = await store.byEmail(req.body.email)
  if (!user || !(await bcrypt.compare(req.body.password, user.password))) {
    return res.status(401).json({ error: 'wrong email or password' })
  }
  return respondSignedIn(res, 200, user)
})

app.post('/refresh', async (req, res) => {
  let claims
  try {
    claims = jwt.verify(req.body.refreshToken, secret)
  } catch {
    return res.status(401).json({ error: 'invalid token' })
  }
  const refreshToken = newRefresh(claims.sub)
  const user = await store.byId(claims.sub)
  if (!user || !(await store.replaceToken(req.body.refreshToken, refreshToken, claims.sub, nowSeconds()))) {
    return res.status(401).json({ error: 'invalid token' })
  }
  return res.json({ accessToken: newAccess(user), refreshToken })
})

app.get('/me', requireSignIn, async (req, res) => res.json({ user: await store.byId(req.userId) }))

app.post('/logout', async (req, res) => {
  await store.removeToken(req.body.refreshToken, nowSeconds())
  res.json({ message: 'signed out' })
})

app.get('/ready', (req, res) => res.json({ ready: true }))
app.get('/settings', async (req, res) => res.json(await store.settings()))

const server = app.listen(Number(PORT), '127.0.0.1')
process.on('SIGTERM', () => server.close(() => process.exit(0)))
