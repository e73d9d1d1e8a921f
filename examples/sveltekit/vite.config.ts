import { sveltekit } from '@sveltejs/kit/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [sveltekit()],
  // Only in this repository: the client and the verifier are in folders beside the application.
  ssr: { noExternal: ['@watchword/client', '@watchword/verify', 'jose'] },
})
