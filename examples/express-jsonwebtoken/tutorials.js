// The routes of an application that began with a tutorial. Each of the three tutorials has its own middleware here. It
// verifies tokens with the shared secret, and reads the claims by the names of its tutorial (docs/migrate.md).
const express = require('express')
const jwt = require('jsonwebtoken')

const secret = process.env.ACCESS_TOKEN_SECRET
const app = express()

// The article with Express, MongoDB and React
function requireAuthentication(request, response, next) {
  const [scheme, token] = (request.get('Authorization') ?? '').split(' ')
  if (scheme !== 'Bearer') return response.status(401).json({ error: 'Authentication Error' })
  try {
    request.userId = jwt.verify(token, secret)._id
    next()
  } catch {
    response.status(401).json({ error: 'Authentication Error' })
  }
}

// The introductory lesson
function authenticateToken(request, response, next) {
  const cookie = /(?:^|; )jwt=([^;]+)/.exec(request.get('Cookie') ?? '')
  const token = request.get('Authorization')?.split(' ')[1] ?? cookie?.[1]
  if (!token) return response.sendStatus(401)
  jwt.verify(token, secret, (error, user) => {
    if (error) return response.sendStatus(403)
    request.user = user // { userId, username, … }
    next()
  })
}

// The "complete security guide"
function authenticate(request, response, next) {
  const token = request.get('Authorization')?.replace('Bearer ', '')
  if (!token) return response.status(401).json({ error: 'Access token required' })
  try {
    const claims = jwt.verify(token, secret, { issuer: 'your-app', audience: 'your-app-users' })
    request.user = { id: claims.userId, email: claims.mail, role: claims.role }
    next()
  } catch (error) {
    const code = error.name === 'TokenExpiredError' ? 'TOKEN_EXPIRED' : 'TOKEN_INVALID'
    response.status(401).json({ error: error.message, code })
  }
}

const requireRole = (role) => (request, response, next) =>
  request.user.role === role ? next() : response.status(403).json({ error: 'Insufficient permissions' })

app.get('/api/notes', requireAuthentication, (request, response) => response.json({ id: request.userId }))
app.get('/lesson/notes', authenticateToken, ({ user }, response) =>
  response.json({ id: user.userId, name: user.username }),
)
app.get('/guide/notes', authenticate, (request, response) => response.json(request.user))
app.get('/guide/admin', authenticate, requireRole('admin'), (request, response) => response.json(request.user))

const server = app.listen(process.env.PORT ?? 5001, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
