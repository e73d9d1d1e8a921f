// Starts Watchword and one of these applications on two origins of one site, and prints
// their addresses. The server's data is in the application's folder, in watchword-data.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

/** Runs a program, shows its output, and returns when it has ended. */
export const run = (program, args, cwd) => execFileSync(program, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })

/** Builds packages of this repository, by default those for applications that render on their server. */
export function buildPackages(names = ['typescript', 'verify']) {
  for (const name of names) {
    const client = join(root, 'clients', name)
    console.log(`Building clients/${name} …`)
    const install = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
    if (!existsSync(join(client, 'node_modules'))) run('npm', install, client)
    run('npm', ['run', '--silent', 'build'], client)
  }
}

/** Starts an application with Node.js, and returns when it responds. */
export async function startNode(args, { cwd, env, url }) {
  const app = spawn('node', args, { cwd, env, stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(app, 'exit')
  process.on('exit', () => app.kill())
  const isReady = () => fetch(url).then((response) => response.ok, () => false)
  while (app.exitCode === null && !(await isReady())) await new Promise((resolve) => setTimeout(resolve, 100))
  if (app.exitCode !== null) throw new Error(`the application ended (${app.exitCode})`)
  return { close: () => (app.kill(), ended) }
}

/**
 * @param {string} folder of the application
 * @param {object} options
 * @param {typeof import('vite').createServer} [options.createServer] the application's own Vite
 * @param {(at: { port: string, appURL: string, serverURL: string, data: string }) =>
 *   Promise<{ close(): unknown }>} [options.serve] instead of createServer: starts the application, and returns when
 *   it listens
 * @param {string} [options.appPort] the default of APP_PORT
 * @param {string} [options.serverPort] the default of SERVER_PORT
 * @param {string[]} [options.settings] further flags of `watchword serve`
 */
export async function start(folder, { createServer, serve, appPort = '5173', serverPort = '8080', settings = [] }) {
  const data = process.env.DATA_DIR ?? join(folder, 'watchword-data')
  const port = process.env.APP_PORT ?? appPort
  const listen = `127.0.0.1:${process.env.SERVER_PORT ?? serverPort}`
  const serverURL = listen.replace('127.0.0.1', 'http://localhost')
  const appURL = `http://localhost:${port}`

  console.log('Building the server …')
  mkdirSync(data, { recursive: true })
  // `go run` is not used, because stopping it would leave the server running.
  run('go', ['build', '-o', join(data, 'watchword'), './cmd/watchword'], root)

  const server = spawn(join(data, 'watchword'), [
    'serve', '--listen', listen, '--admin-listen', '', '--public-url', serverURL,
    '--allowed-origins', appURL, '--data-dir', data, '--log-level', 'warn', ...settings,
  ], { cwd: data, stdio: ['ignore', 'ignore', 'inherit'] })

  const ended = once(server, 'exit')
  let app
  let stopping = false
  async function stop(code) {
    if (stopping) return
    stopping = true
    server.kill()
    await Promise.all([app?.close(), ended])
    process.exit(code)
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void stop(0))
  process.on('exit', () => server.kill()) // after an uncaught error
  void ended.then(([code]) => {
    if (!stopping) console.error(`The server ended (${code}).`)
    return stop(1)
  })

  const isReady = () => fetch(`${serverURL}/readyz`).then((response) => response.ok, () => false)
  while (!(await isReady())) await new Promise((resolve) => setTimeout(resolve, 100))

  process.env.VITE_WATCHWORD_URL = serverURL
  if (serve) app = await serve({ port, appURL, serverURL, data })
  else {
    const server = { port: Number(port), strictPort: true, host: 'localhost' }
    app = await createServer({ root: folder, server, clearScreen: false })
    await app.listen()
  }
  console.log(`
The application is listening on ${appURL}
Mails: ${serverURL}/dev/mail, API: ${serverURL}/docs.
Stop both with Ctrl-C.`)
}
