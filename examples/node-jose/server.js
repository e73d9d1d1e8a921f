// A service that lets in whom Watchword knows. The URL of Watchword is all it needs.
import { createServer } from 'node:http'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const issuer = process.env.ISSUER ?? 'http://localhost:8080'
const audience = process.env.AUDIENCE ?? issuer

const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri)) // kept, and fetched again for a new key

async function verify(request) {
  const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
  if (!token) return undefined
  const { payload } = await jwtVerify(token, keys, {
    issuer,
    audience,
    typ: 'at+jwt',
    algorithms: ['ES256'],
    clockTolerance: 5, // seconds that the two clocks may differ by
  })
  return payload
}

const server = createServer(async (request, response) => {
  const answer = (status, body, headers = {}) =>
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body))
  try {
    const who = await verify(request)
    if (!who) return answer(401, { error: 'Sign in first.' }, { 'WWW-Authenticate': 'Bearer' })
    answer(200, { sub: who.sub, roles: who.roles })
  } catch (error) {
    // Keys that can't be fetched say nothing about the token: nobody is to be signed out for it.
    const away = !(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout
    if (away) return answer(503, { error: 'Try again shortly.' }, { 'Retry-After': '2' })
    answer(401, { error: 'This token is not valid here.' }, { 'WWW-Authenticate': 'Bearer error="invalid_token"' })
  }
})
server.listen(process.env.PORT ?? 3000, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
