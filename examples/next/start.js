// Builds the packages from this repository and the application, and starts Watchword and Next.js.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { run, start } from '../start.js'

const folder = import.meta.dirname
const next = join(folder, 'node_modules/next/dist/bin/next')

for (const name of ['typescript', 'verify']) {
  const client = join(folder, '../../clients', name)
  console.log(`Building clients/${name} …`)
  const install = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
  if (!existsSync(join(client, 'node_modules'))) run('npm', install, client)
  run('npm', ['run', '--silent', 'build'], client)
}
console.log('Building the application …')
run('node', [next, 'build'], folder)

/** Starts Next.js, and returns when it responds. */
async function serve({ port, appURL, serverURL }) {
  const env = { ...process.env, APP_ORIGIN: appURL, WATCHWORD_URL: serverURL }
  const app = spawn('node', [next, 'start', '--port', port, '--hostname', 'localhost'], {
    cwd: folder, env, stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(app, 'exit')
  process.on('exit', () => app.kill())
  const isReady = () => fetch(appURL).then((response) => response.ok, () => false)
  while (app.exitCode === null && !(await isReady())) await new Promise((resolve) => setTimeout(resolve, 100))
  if (app.exitCode !== null) throw new Error(`Next.js ended (${app.exitCode})`)
  return { close: () => (app.kill(), ended) }
}

// Watchword counts limits by the browser's address, because this application's address is trusted.
await start(folder, { serve, appPort: '3000', settings: ['--trusted-proxies', '127.0.0.0/8,::1/128'] })
