import { join } from "node:path"
import type { NextConfig } from "next"

export default {
  poweredByHeader: false,
  // This is only needed in this repository, because the client and the verifier are outside of the application's
  // folder.
  turbopack: { root: join(import.meta.dirname, "../..") },
} satisfies NextConfig
