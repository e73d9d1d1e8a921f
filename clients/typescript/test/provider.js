// npm's oidc-provider on the loopback. It signs its current user in without asking.
//
//   PUT /test/redirect  text                                the redirect URI of its only client
//   PUT /test/user      {sub, email, email_verified, name}  replaces the user. {deny: true}: the user cancels;
//                                                           {wait: 3}: after so many seconds on a page
//
// Arguments: client id, client secret. It prints "listening on" and its issuer.
import { generateKeyPairSync } from "node:crypto"
import { createServer } from "node:http"
import Provider from "oidc-provider"

const [client_id, client_secret] = process.argv.slice(2)
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
const keys = [{ ...privateKey.export({ format: "jwk" }), kid: "one", alg: "RS256", use: "sig" }]
let user = { sub: "ada", email: "ada@example.com", email_verified: true, name: "Ada" }
let current

function create(redirect) {
  current = new Provider(`http://127.0.0.1:${server.address().port}`, {
    clients: [{ client_id, client_secret, redirect_uris: [redirect] }],
    jwks: { keys },
    cookies: { keys: ["a key for tests"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ ...user, sub }) }),
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId })
      grant.addOIDCScope("openid email profile")
      await grant.save()
      return grant
    },
    ttl: { AccessToken: 60, AuthorizationCode: 60, IdToken: 600, Grant: 60, Interaction: 60, Session: 60 },
    renderError: (ctx, out) => void ((ctx.type = "text"), (ctx.body = JSON.stringify(out))),
  })
}

const server = createServer(async (request, response) => {
  let text = ""
  if (request.method === "PUT") for await (const part of request) text += part
  if (request.url === "/test/redirect") create(text)
  else if (request.url === "/test/user") user = JSON.parse(text)
  else if (request.url.startsWith("/interaction/")) {
    if (user.wait && !request.url.endsWith("?go")) {
      response.setHeader("Content-Type", "text/html")
      return response.end(`<meta http-equiv="refresh" content="${user.wait}; url=${request.url}?go">`)
    }
    const result = user.deny ? { error: "access_denied" } : { login: { accountId: user.sub } }
    return current.interactionFinished(request, response, result)
  } else return current.callback()(request, response)
  response.end()
})
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
