// Starts Watchword and one of these applications on two origins of one site, and says
// where to look. Everything that the server keeps is in watchword-data, in the
// application's folder.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

/** Runs a program to its end, and shows what it says. */
export const run = (program, args, cwd) => execFileSync(program, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })

/**
 * @param {string} folder of the application
 * @param {object} options
 * @param {typeof import('vite').createServer} options.createServer the application's own Vite
 * @param {string} [options.appPort] 5173, unless APP_PORT says another
 * @param {string} [options.serverPort] 8080, unless SERVER_PORT says another
 * @param {string[]} [options.settings] more flags of `watchword serve`
 */
export async function start(folder, { createServer, appPort = '5173', serverPort = '8080', settings = [] }) {
  const data = process.env.DATA_DIR ?? join(folder, 'watchword-data')
  const port = process.env.APP_PORT ?? appPort
  const listen = `127.0.0.1:${process.env.SERVER_PORT ?? serverPort}`
  const serverURL = listen.replace('127.0.0.1', 'http://localhost')
  const appURL = `http://localhost:${port}`

  console.log('Building the server …')
  mkdirSync(data, { recursive: true })
  // Built, and not `go run`: that leaves the server behind when it is ended.
  run('go', ['build', '-o', join(data, 'watchword'), './cmd/watchword'], root)

  const server = spawn(join(data, 'watchword'), [
    'serve', '--listen', listen, '--admin-listen', '', '--public-url', serverURL,
    '--allowed-origins', appURL, '--data-dir', data, '--log-level', 'warn', ...settings,
  ], { cwd: data, stdio: ['ignore', 'ignore', 'inherit'] })

  const ended = once(server, 'exit')
  let vite
  let stopping = false
  async function stop(code) {
    if (stopping) return
    stopping = true
    server.kill()
    await Promise.all([vite?.close(), ended])
    process.exit(code)
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void stop(0))
  process.on('exit', () => server.kill()) // if we fall over ourselves
  void ended.then(([code]) => {
    if (!stopping) console.error(`The server ended (${code}).`)
    return stop(1)
  })

  const isReady = () => fetch(`${serverURL}/readyz`).then((answer) => answer.ok, () => false)
  while (!(await isReady())) await new Promise((resolve) => setTimeout(resolve, 100))

  process.env.VITE_WATCHWORD_URL = serverURL
  vite = await createServer({ root: folder, server: { port: Number(port), strictPort: true, host: 'localhost' }, clearScreen: false })
  await vite.listen()
  console.log(`
The application is listening on ${appURL}
Its mails are at ${serverURL}/dev/mail, its API at ${serverURL}/docs.
Stop both with Ctrl-C.`)
}
