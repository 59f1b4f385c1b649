import { defineConfig } from 'vitest/config'
import { InterleavedSequencer } from './test/support/interleaved-sequencer.ts'

// Seven suites; `make test` runs all but the faults and tracing. Unit tests and the simulation use no servers, and browser tests start their
// own Redis; the others use real servers, which test/support/servers/global-servers.ts starts once. No retries: a flaky test is a bug.
const realServers = { globalSetup: ['test/support/servers/global-servers.ts'], retry: 0 }

export default defineConfig({
  test: {
    // Most tests of servers wait for them: with two workers, half of two cores is idle.
    maxWorkers: 4,
    sequence: { sequencer: InterleavedSequencer },
    projects: [
      // Properties and large batches compute for seconds, and the processors are shared.
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { name: 'simulation', include: ['test/simulation/**/*.test.ts'], testTimeout: 120_000 } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/interop/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          ...realServers,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          ...realServers,
        },
      },
      // Not part of `make test`: test/run-all.ts leaves it out.
      {
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          // A bound for what hangs: on a busy machine these tests take long.
          testTimeout: 600_000,
          hookTimeout: 60_000,
          ...realServers,
        },
      },
      // Not part of `make test` either: `make tracing` installs packages that the service does not need.
      {
        test: {
          name: 'tracing',
          include: ['test/tracing/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          ...realServers,
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          retry: 0,
        },
      },
    ],
  },
})
