import { join } from "node:path"
import type { NextConfig } from "next"

export default {
  poweredByHeader: false,
  // Only in this repository: the client and the verifier are in folders beside the application.
  turbopack: { root: join(import.meta.dirname, "../..") },
} satisfies NextConfig
