// Builds the packages from this repository, and starts Watchword and the application.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { buildPackages, start, startNode } from '../start.js'

const folder = import.meta.dirname

buildPackages(['admin', 'verify'])

function serve({ port, appURL, serverURL, data }) {
  // The key is created at each start, because it is shown only once. The running server accepts it at once.
  const scopes = 'users:read,users:write,sessions:end'
  const create = ['service-keys', 'create', 'profiles', '--scope', scopes, '--expires', '1d', '--data-dir', data]
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }
  const key = execFileSync(join(data, 'watchword'), create, options).trim()
  const env = {
    ...process.env,
    PORT: port,
    WATCHWORD_URL: serverURL,
    WATCHWORD_KEY: key,
    TABLE: join(data, 'profiles.json'),
  }
  return startNode(['app.js'], { cwd: folder, env, url: appURL })
}

await start(folder, { serve, appPort: '3000' })
