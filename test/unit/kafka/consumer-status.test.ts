import { describe, expect, test } from 'vitest'
import {
  INITIAL_STATUS,
  isJoined,
  nextStatus,
  type ConsumerSignal,
  type ConsumerStatus,
} from '../../../cache-service/kafka/consumer-status.ts'

type Kind = ConsumerStatus['kind']
type SignalKind = ConsumerSignal['kind']

const statuses: { readonly [K in Kind]: ConsumerStatus & { readonly kind: K } } = {
  waiting: { kind: 'waiting', reason: 'no broker' },
  joining: { kind: 'joining', reason: 'no broker' },
  consuming: { kind: 'consuming' },
  holding: { kind: 'holding' },
  paused: { kind: 'paused' },
  stopped: { kind: 'stopped', reason: 'the process is stopping' },
}

const signals: { readonly [K in SignalKind]: ConsumerSignal & { readonly kind: K } } = {
  started: { kind: 'started' },
  joined: { kind: 'joined', hold: 'open' },
  rebalancing: { kind: 'rebalancing' },
  hold_changed: { kind: 'hold_changed', hold: 'paused' },
  ended: { kind: 'ended', reason: 'crashed' },
  stopped: { kind: 'stopped' },
}

const { consuming, holding, joining, paused, stopped, waiting } = statuses
const rebalancing: ConsumerStatus = { kind: 'joining', reason: 'the group is rebalancing' }
const crashed: ConsumerStatus = { kind: 'waiting', reason: 'crashed' }
const always = { joined: consuming, rebalancing, ended: crashed, stopped }

const truthTable: Record<Kind, Record<SignalKind, ConsumerStatus>> = {
  waiting: { ...always, started: joining, hold_changed: waiting },
  joining: { ...always, started: joining, hold_changed: joining },
  consuming: { ...always, started: consuming, hold_changed: paused },
  holding: { ...always, started: holding, hold_changed: paused },
  paused: { ...always, started: paused, hold_changed: paused },
  stopped: {
    started: stopped,
    joined: stopped,
    rebalancing: stopped,
    hold_changed: stopped,
    ended: stopped,
    stopped,
  },
}

const cells = Object.values(statuses).flatMap((status) =>
  Object.values(signals).map((signal) => ({ status, signal, from: status.kind, on: signal.kind })),
)

describe('the status of a consumer', () => {
  test('is waiting at first', () => {
    expect(INITIAL_STATUS.kind).toBe('waiting')
  })

  test.each(cells)('goes from $from on $on to the status of the truth table', ({ status, signal }) => {
    expect(nextStatus(status, signal)).toEqual(truthTable[status.kind][signal.kind])
  })

  test.each(['joined', 'hold_changed'] as const)('follows the hold on %s', (kind) => {
    expect(nextStatus(consuming, { kind, hold: 'open' })).toEqual(consuming)
    expect(nextStatus(consuming, { kind, hold: 'holding' })).toEqual(holding)
    expect(nextStatus(consuming, { kind, hold: 'paused' })).toEqual(paused)
  })

  test('says whether the worker is in the consumer group', () => {
    const joined: Record<Kind, boolean> = {
      waiting: false,
      joining: false,
      consuming: true,
      holding: true,
      paused: true,
      stopped: false,
    }
    for (const status of Object.values(statuses)) expect(isJoined(status)).toBe(joined[status.kind])
  })
})
