import { defineConfig } from 'vitest/config'

// Four suites, one command. Unit tests know no server; the other suites use real ones, which
// test/support/global-servers.ts starts once per suite. No retries anywhere: a flaky test is a bug.
const realServers = { globalSetup: ['test/support/global-servers.ts'], retry: 0 }

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          ...realServers,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          ...realServers,
        },
      },
    ],
  },
})
