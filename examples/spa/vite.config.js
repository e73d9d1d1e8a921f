import { defineConfig } from 'vite'

export default defineConfig({
  resolve: { dedupe: ['react'] }, // the linked client has its own React for its tests
  server: { fs: { allow: ['.', '../../clients/typescript'] } },
})
