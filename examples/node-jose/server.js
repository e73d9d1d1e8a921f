// A service that accepts Watchword's access tokens. Its only setting is Watchword's URL.
import { createServer } from 'node:http'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const issuer = process.env.ISSUER ?? 'http://localhost:8080'
const audience = process.env.AUDIENCE ?? issuer

const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri)) // cached, and fetched again for an unknown key

async function verify(request) {
  const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
  if (!token) return undefined
  const { payload } = await jwtVerify(token, keys, {
    issuer,
    audience,
    typ: 'at+jwt',
    algorithms: ['ES256'],
    clockTolerance: 5, // seconds of tolerated clock skew
  })
  return payload
}

const server = createServer(async (request, response) => {
  const respond = (status, body, headers = {}) =>
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body))
  try {
    const claims = await verify(request)
    if (!claims) return respond(401, { error: 'Sign in first.' }, { 'WWW-Authenticate': 'Bearer' })
    respond(200, { sub: claims.sub, roles: claims.roles })
  } catch (error) {
    // Without keys the token can't be checked. A 401 would sign the user out, so respond 503.
    const isUnavailable = !(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout
    if (isUnavailable) return respond(503, { error: 'Try again shortly.' }, { 'Retry-After': '2' })
    respond(401, { error: 'This token is not valid here.' }, { 'WWW-Authenticate': 'Bearer error="invalid_token"' })
  }
})
server.listen(process.env.PORT ?? 3000, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
