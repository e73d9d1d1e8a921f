// Starts Watchword and this application on two origins of one site, and says where to
// look. Everything that the server keeps is in ./watchword-data.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '../..')
const client = join(root, 'clients/typescript')
const data = process.env.DATA_DIR ?? join(here, 'watchword-data')
const serverPort = process.env.SERVER_PORT ?? '8080'
const appPort = process.env.APP_PORT ?? '5173'
const serverURL = `http://localhost:${serverPort}`
const appURL = `http://localhost:${appPort}`

const run = (program, args, cwd) => execFileSync(program, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })

console.log('Building the client and the server …')
if (!existsSync(join(client, 'node_modules'))) run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], client)
run('npm', ['run', '--silent', 'build'], client)
mkdirSync(data, { recursive: true })
// Built, and not `go run`: that leaves the server behind when it is ended.
run('go', ['build', '-o', join(data, 'watchword'), './cmd/watchword'], root)

const server = spawn(join(data, 'watchword'), [
  'serve', '--listen', `127.0.0.1:${serverPort}`, '--admin-listen', '', '--public-url', serverURL,
  '--allowed-origins', appURL, '--data-dir', data, '--log-level', 'warn',
], { cwd: data, stdio: ['ignore', 'ignore', 'inherit'] })

let vite
async function stop(code) {
  server.kill()
  await vite?.close()
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void stop(0))
server.on('exit', (code) => {
  console.error(`The server ended (${code}).`)
  void stop(1)
})

const isReady = () => fetch(`${serverURL}/readyz`).then((answer) => answer.ok, () => false)
while (!(await isReady())) await new Promise((resolve) => setTimeout(resolve, 100))

process.env.VITE_WATCHWORD_URL = serverURL
const { createServer } = await import('vite')
vite = await createServer({ root: here, server: { port: Number(appPort), strictPort: true, host: 'localhost' }, clearScreen: false })
await vite.listen()
console.log(`
The application is listening on ${appURL}
Its mails are at ${serverURL}/dev/mail, its API at ${serverURL}/docs.
Stop both with Ctrl-C.`)
