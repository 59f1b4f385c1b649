import { expect, inject, test } from 'vitest'
import { describePlan, planCrash, runCrash } from '../crash/run-crash.ts'
import { CRASH_POINTS } from '../crash/crash-points.ts'

// One run for each of the points at which most is at stake; `make crash` tries all of them with many seeds.

const SEED = Math.floor(Math.random() * 1e6)
const POINTS = ['partly applied', 'dead letter sent, not committed', 'applied, not committed', 'rebuilding']

const plans = Object.keys(CRASH_POINTS)
  .map((_, i) => planCrash(SEED + i))
  .filter(({ point }) => POINTS.includes(point))

test.concurrent.each(plans.map((plan) => [describePlan(plan), plan] as const))(
  'a worker that kills itself loses nothing: %s',
  async (_, plan) => {
    await expect(runCrash(plan, inject('kafkaBrokers'))).resolves.toBeUndefined()
  },
)
