import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/*.test.ts"],
    globalSetup: "test/build.ts",
    unstubGlobals: true,
    restoreMocks: true,
    maxWorkers: 2,
  },
})
