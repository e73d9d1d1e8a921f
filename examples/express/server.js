// A service that accepts Watchword's access tokens. Its only setting is Watchword's URL.
import express from 'express'
import { auth } from 'express-oauth2-jwt-bearer'

const issuerBaseURL = process.env.ISSUER ?? 'http://localhost:8080'
const audience = process.env.AUDIENCE ?? issuerBaseURL

const app = express()
app.use(auth({
  issuerBaseURL,
  audience,
  tokenSigningAlg: 'ES256',
  clockTolerance: 5, // seconds of tolerated clock skew
  validators: { typ: (typ) => typ === 'at+jwt' }, // `strict` also requires client_id, which the tokens don't have
}))
app.get('/', (request, response) => {
  const { sub, roles } = request.auth.payload
  response.json({ sub, roles })
})
app.use((error, request, response, next) => {
  response.status(error.status ?? 500).set(error.headers ?? {}).json({ error: error.message })
})

const server = app.listen(process.env.PORT ?? 3000, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
