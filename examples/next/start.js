// Builds the packages from this repository and the application, and starts Watchword and Next.js.
import { join } from 'node:path'
import { buildPackages, run, start, startNode } from '../start.js'

const folder = import.meta.dirname
const next = join(folder, 'node_modules/next/dist/bin/next')

buildPackages()
console.log('Building the application …')
run('node', [next, 'build'], folder)

function serve({ port, appURL, serverURL }) {
  const env = { ...process.env, APP_ORIGIN: appURL, WATCHWORD_URL: serverURL }
  return startNode([next, 'start', '--port', port, '--hostname', 'localhost'], { cwd: folder, env, url: appURL })
}

// Watchword counts limits by the browser's address, because this application's address is trusted.
await start(folder, { serve, appPort: '3000', settings: ['--trusted-proxies', '127.0.0.0/8,::1/128'] })
