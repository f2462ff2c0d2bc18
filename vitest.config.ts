import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build.ts'],
    // What is built runs as it was built.
    server: { deps: { external: [/\/dist\//] } },
    reporters: ['default', './test/support/retried.ts'],
    // Two cores: real processes, browsers and servers run beside the tests.
    maxWorkers: 2,
    // For what never ends: how long a test takes depends on the machine.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
  },
})
