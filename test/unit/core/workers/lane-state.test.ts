import { describe, expect, test } from 'vitest'
import {
  stepLane,
  type LaneInput,
  type LaneState,
} from '../../../../cache-service/core/workers/lane-state.ts'
import { redisError } from '../../../../shared/errors.ts'

const failure = redisError(new Error('OOM command not allowed'))
const other = redisError(new Error('READONLY You can’t write against a read only replica.'))

const states = {
  running: { kind: 'running' },
  holding: { kind: 'holding', failure, sinceMs: 1_000, failures: 2, isPaused: false },
  rewinding: { kind: 'rewinding', to: 40 },
  ended: { kind: 'ended' },
} as const satisfies Record<LaneState['kind'], LaneState>

const inputs = {
  failed: { kind: 'failed', failure: other, nowMs: 5_000 },
  'failed after 8 s': { kind: 'failed', failure: other, nowMs: 9_000 },
  durable: { kind: 'durable' },
  rewind: { kind: 'rewind', to: 7 },
  'fetched from 40': { kind: 'fetched', position: 40, isRestart: false },
  'fetched from 41': { kind: 'fetched', position: 41, isRestart: false },
  'fetched from the restart at 5': { kind: 'fetched', position: 5, isRestart: true },
  ended: { kind: 'ended' },
} as const satisfies Record<string, LaneInput>

type Expected = LaneState | 'unchanged'

const table: Record<keyof typeof states, Record<keyof typeof inputs, Expected>> = {
  running: {
    failed: { kind: 'holding', failure: other, sinceMs: 5_000, failures: 1, isPaused: false },
    'failed after 8 s': { kind: 'holding', failure: other, sinceMs: 9_000, failures: 1, isPaused: false },
    durable: 'unchanged',
    rewind: { kind: 'rewinding', to: 7 },
    'fetched from 40': 'unchanged',
    'fetched from 41': 'unchanged',
    'fetched from the restart at 5': 'unchanged',
    ended: { kind: 'ended' },
  },
  holding: {
    failed: { kind: 'holding', failure: other, sinceMs: 1_000, failures: 3, isPaused: false },
    'failed after 8 s': { kind: 'holding', failure: other, sinceMs: 1_000, failures: 3, isPaused: true },
    durable: { kind: 'running' },
    rewind: { kind: 'rewinding', to: 7 },
    'fetched from 40': 'unchanged',
    'fetched from 41': 'unchanged',
    'fetched from the restart at 5': 'unchanged',
    ended: { kind: 'ended' },
  },
  rewinding: {
    failed: 'unchanged',
    'failed after 8 s': 'unchanged',
    durable: 'unchanged',
    rewind: { kind: 'rewinding', to: 7 },
    'fetched from 40': { kind: 'running' },
    'fetched from 41': 'unchanged',
    'fetched from the restart at 5': { kind: 'running' },
    ended: { kind: 'ended' },
  },
  ended: {
    failed: 'unchanged',
    'failed after 8 s': 'unchanged',
    durable: 'unchanged',
    rewind: 'unchanged',
    'fetched from 40': 'unchanged',
    'fetched from 41': 'unchanged',
    'fetched from the restart at 5': 'unchanged',
    ended: 'unchanged',
  },
}

describe('a lane', () => {
  const cells = Object.entries(table).flatMap(([state, row]) =>
    Object.entries(row).map(([input, expected]) => ({ state, input, expected })),
  )

  test.each(cells)('that is $state takes the step of the table: $input', ({ input, expected, state }) => {
    const before = states[state as keyof typeof states]
    const after = stepLane(before, inputs[input as keyof typeof inputs])
    expect(after).toEqual(expected === 'unchanged' ? before : expected)
  })
})
