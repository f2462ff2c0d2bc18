import { defineConfig } from 'vitest/config'
import SlowFirst from './test/support/slow-first.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build.ts'],
    // What is built runs as it was built.
    server: { deps: { external: [/\/dist\//] } },
    reporters: ['default', './test/support/retried.ts', './test/support/slowest.ts'],
    setupFiles: ['./test/support/processor-time.ts'],
    // Loading the sources took a third of the time. No file changes what others share (`process.env`, globals).
    isolate: false,
    sequence: { sequencer: SlowFirst },
    // Two more than two cores: tests wait for processes, browsers and servers for much of their time.
    maxWorkers: 4,
    // For what never ends: how long a test takes depends on the machine.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
  },
})
