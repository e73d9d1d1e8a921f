import { createServer } from 'vite'
import { start } from '../start.js'

await start(import.meta.dirname, {
  createServer,
  appPort: '3000',
  serverPort: '8000',
  settings: ['--dialects', 'users'],
})
