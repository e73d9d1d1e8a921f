import { sveltekit } from '@sveltejs/kit/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [sveltekit()],
  // This is only needed in this repository, because the client and the verifier are outside of the application's
  // folder.
  ssr: { noExternal: ['@watchword/client', '@watchword/verify', 'jose'] },
})
