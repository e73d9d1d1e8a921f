// Builds the browser client from this repository, and starts the application.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createServer } from 'vite'
import { run, start } from '../start.js'

const client = join(import.meta.dirname, '../../clients/typescript')

console.log('Building the client …')
if (!existsSync(join(client, 'node_modules'))) run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], client)
run('npm', ['run', '--silent', 'build'], client)

await start(import.meta.dirname, { createServer })
