import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { start } from '../start.js'

const types = {
  'index.html': 'text/html',
  'script.js': 'text/javascript',
  'style.css': 'text/css',
  'mark.svg': 'image/svg+xml',
}

/** Serves the files, and writes Watchword's URL into the page. Any static file server works, too. */
function serve({ root, server: { port, host } }) {
  const web = createServer(async (request, response) => {
    const name = request.url === '/' ? 'index.html' : request.url.slice(1)
    if (!Object.hasOwn(types, name)) return response.writeHead(404).end()
    const text = await readFile(join(root, name), 'utf8')
    response.writeHead(200, { 'Content-Type': `${types[name]}; charset=utf-8` })
    response.end(text.replace('http://localhost:8000', process.env.VITE_WATCHWORD_URL))
  })
  return {
    listen: () => new Promise((resolve, reject) => web.once('error', reject).listen(port, host, resolve)),
    close: () => web.close(),
  }
}

await start(import.meta.dirname, {
  createServer: serve,
  appPort: '3000',
  serverPort: '8000',
  settings: ['--dialects', 'lesson'],
})
