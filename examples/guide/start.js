import { createServer } from 'vite'
import { start } from '../start.js'

await start(import.meta.dirname, { createServer })
