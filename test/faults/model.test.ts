import { expect, test } from 'vitest'
import { runModel } from '../model/run-model.ts'

// `make model` runs it for longer, and repeats and shrinks a failure.

const MINUTES = Number(process.env['MINUTES'] || '1')

test(
  'any sequence of records, faults and commands ends in what the records say',
  async () => {
    expect(await runModel({ minutes: MINUTES, shrinkMinutes: 0 })).toBeGreaterThan(0)
  },
  (MINUTES + 10) * 60_000,
)
