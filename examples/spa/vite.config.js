import { defineConfig } from 'vite'

export default defineConfig({
  resolve: { dedupe: ['react'] }, // the client is linked, and has a React of its own for its tests
  server: { fs: { allow: ['.', '../../clients/typescript'] } },
})
