// An OpenID provider for tests, on the loopback. It signs the current user in without asking.
//
//   PUT /test/user   {sub, email, email_verified, name, amr}   sets the current user
//   PUT /test/keys   "RS256" or "ES256"                        replaces the signing keys
//
// Arguments: client id, client secret, redirect URI, and JSON with the behaviour:
//
//   page      shows a page with the buttons Allow and Cancel
//   post      takes the client secret in the body
//   direct    puts all claims into the ID token, as Apple does
//   pushed    "offered" or "required": pushed authorization requests (RFC 9126)
//
// It prints its issuer.
import { createServer } from 'node:http'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import Provider from 'oidc-provider'

const [clientID, secret, redirectURI, behaviour] = process.argv.slice(2)
const { page, post, direct, pushed } = JSON.parse(behaviour)
let user = { sub: 'ada', email: 'ada@example.com', email_verified: true, name: 'Ada' }

function key(alg) {
  const pair = alg === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...pair.privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg, use: 'sig' }
}

function provider(issuer, alg) {
  const op = new Provider(issuer, {
    clients: [{ client_id: clientID, client_secret: secret, redirect_uris: [redirectURI],
      id_token_signed_response_alg: alg,
      token_endpoint_auth_method: post ? 'client_secret_post' : 'client_secret_basic' }],
    jwks: { keys: [key(alg)] },
    cookies: { keys: ['a key for tests'] },
    claims: { openid: ['sub', 'amr'], email: ['email', 'email_verified'], profile: ['name', 'locale'] },
    features: { devInteractions: { enabled: false },
      pushedAuthorizationRequests: { enabled: Boolean(pushed),
        requirePushedAuthorizationRequests: pushed === 'required' } },
    conformIdTokenClaims: !direct,
    pkce: { required: () => true },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ ...user, sub }) }),
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId })
      grant.addOIDCScope('openid email profile')
      await grant.save()
      return grant
    },
    ttl: { AccessToken: 60, AuthorizationCode: 60, IdToken: 600, Grant: 60, Interaction: 60, Session: 60 },
    renderError: (ctx, out) => { ctx.type = 'text'; ctx.body = JSON.stringify(out) },
  })
  return { op, handle: op.callback() }
}

let current
const server = createServer(async (req, res) => {
  const body = async () => {
    let text = ''
    for await (const part of req) text += part
    return text
  }
  try {
    if (req.method === 'PUT' && req.url === '/test/user') {
      user = JSON.parse(await body())
      return res.end()
    }
    if (req.method === 'PUT' && req.url === '/test/keys') {
      current = provider(current.op.issuer, await body())
      return res.end()
    }
    if (req.url.startsWith('/interaction/')) {
      if (page && req.method === 'GET') {
        res.setHeader('Content-Type', 'text/html')
        return res.end(`<!doctype html><title>Acme</title><h1>Acme</h1><form method="post">
          <button name="answer" value="allow">Allow</button>
          <button name="answer" value="cancel">Cancel</button></form>`)
      }
      if (user.deny || (page && (await body()) === 'answer=cancel')) return await current.op.interactionFinished(req, res, { error: 'access_denied' })
      return await current.op.interactionFinished(req, res, { login: { accountId: user.sub, amr: user.amr } })
    }
    current.handle(req, res)
  } catch (error) {
    res.statusCode = 500
    res.end(String(error))
  }
})
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  current = provider(issuer, 'RS256')
  console.log(issuer)
})
