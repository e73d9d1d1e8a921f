// Builds the packages from this repository and the application, and starts Watchword and SvelteKit.
import { join } from 'node:path'
import { buildPackages, run, start, startNode } from '../start.js'

const folder = import.meta.dirname

buildPackages()
console.log('Building the application …')
run('node', [join(folder, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn'], folder)

function serve({ port, appURL, serverURL }) {
  const env = { ...process.env, PORT: port, HOST: 'localhost', ORIGIN: appURL, WATCHWORD_URL: serverURL }
  return startNode(['build'], { cwd: folder, env, url: appURL })
}

// Watchword counts limits by the browser's address, because this application's address is trusted.
await start(folder, { serve, appPort: '3000', settings: ['--trusted-proxies', '127.0.0.0/8,::1/128'] })
