// A tutorial's service with Express and jsonwebtoken. It reads Watchword's public keys, so it can't sign tokens.
const express = require('express')
const jwt = require('jsonwebtoken')

const issuer = process.env.ISSUER ?? 'http://localhost:8080'
const audience = process.env.AUDIENCE ?? issuer
const keys = require('jwks-rsa')({ jwksUri: `${issuer}/.well-known/jwks.json` })
const [algorithm, keyOf] = ['ES256', async (kid) => (await keys.getSigningKey(kid)).publicKey]

async function authenticate(request, response, next) {
  const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
  if (!token) return refuse(response, 'TOKEN_MISSING', 'Sign in first.')
  const key = await keyOf(jwt.decode(token, { complete: true })?.header.kid)
  if (!key) throw new Error('The key to verify tokens is missing.')
  try {
    const options = { algorithms: [algorithm], issuer, audience, clockTolerance: 5, complete: true }
    const { header, payload } = jwt.verify(token, key, options)
    if (header.typ !== 'at+jwt') throw new Error('This is not an access token.')
    request.user = payload
  } catch (error) {
    if (error instanceof jwt.TokenExpiredError) return refuse(response, 'TOKEN_EXPIRED', 'This token has expired.')
    return refuse(response, 'TOKEN_INVALID', 'This token is not valid here.')
  }
  next()
}

function refuse(response, code, error) {
  const challenge = code === 'TOKEN_MISSING' ? 'Bearer' : 'Bearer error="invalid_token"'
  response.status(401).set('WWW-Authenticate', challenge).json({ code, error })
}

const app = express()
app.get('/', authenticate, (request, response) => {
  const { sub, roles } = request.user
  response.json({ sub, roles })
})
app.use((error, request, response, next) => {
  if (error.name === 'SigningKeyNotFoundError') {
    return refuse(response, 'TOKEN_INVALID', 'This token is not valid here.')
  }
  // Without a key the token can't be checked. A 401 would sign the user out, so respond 503.
  console.error(error.message)
  response.status(503).set('Retry-After', '2').json({ error: 'Try again shortly.' })
})

const server = app.listen(process.env.PORT ?? 3000, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
