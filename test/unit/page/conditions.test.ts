import { describe, expect, test } from 'vitest'
import { conditionsOf, createConditionLog } from '../../../cache-service/page/conditions.js'

const worker = { ready: true, reasons: [], rebuilding: false, isGone: false }
const good = { api: { kind: 'ready', reasons: [] }, redis: 'connected', workers: [worker], live: undefined }
const keys = (change: object) => conditionsOf({ ...good, ...change }).map(({ key }) => key)

describe('what is wrong with the platform', () => {
  test('is nothing while everything works, or is not known yet', () => {
    expect(keys({})).toEqual([])
    expect(keys({ api: undefined, redis: undefined, workers: undefined })).toEqual([])
  })

  test.each([
    [
      'the API',
      { api: { kind: 'unreachable' }, workers: [], live: { kind: 'lost', forMs: 60_000 } },
      ['api'],
    ],
    ['the token', { api: { kind: 'forbidden' } }, ['token']],
    ['Redis, not the workers that cannot report', { redis: 'disconnected', workers: [] }, ['redis']],
    ['the API', { api: { kind: 'not_ready', reasons: ['stopping'] } }, ['not_ready']],
    ['the workers', { workers: [] }, ['no_worker']],
    ['the workers', { workers: [{ ...worker, isGone: true }] }, ['no_worker']],
    [
      'a worker',
      { workers: [worker, { ...worker, ready: false, reasons: ['holding'] }] },
      ['not_ready_worker'],
    ],
    ['a rebuild', { workers: [{ ...worker, rebuilding: true }] }, ['rebuild']],
    ['a partition', { workers: [{ ...worker, unread: [{ partition: 3 }] }] }, ['unread']],
    ['the event stream', { live: { kind: 'lost', forMs: 6_000 } }, ['live']],
    ['nothing, during a reconnection', { live: { kind: 'lost', forMs: 1_000 } }, []],
  ])('is %s', (_what, change, expected) => {
    expect(keys(change)).toEqual(expected)
  })

  test('counts a partition once, however many workers report it', () => {
    const reporting = { ...worker, topic: 't', group: 'g', unread: [{ partition: 3 }] }
    const [unread] = conditionsOf({ ...good, workers: [reporting, reporting] })
    expect(unread?.text).toBe('1 partition is not being read.')
  })
})

describe('since when', () => {
  const found = (...names: string[]) => names.map((key) => ({ key, text: key, details: [], view: undefined }))

  test('a condition holds does not change while it holds, and starts again afterwards', () => {
    const log = createConditionLog()
    expect(log.update(found('a'), 100)).toMatchObject([{ key: 'a', sinceMs: 100 }])
    expect(log.update(found('b', 'a'), 200)).toMatchObject([{ sinceMs: 200 }, { sinceMs: 100 }])
    log.update(found('b'), 300)
    expect(log.update(found('a', 'b'), 400)).toMatchObject([{ sinceMs: 400 }, { sinceMs: 200 }])
  })

  test('a condition holds outlasts an outage of the API, which hides it', () => {
    const log = createConditionLog()
    log.update(found('a'), 100)
    log.update(found('api'), 200)
    expect(log.update(found('a'), 300)).toMatchObject([{ key: 'a', sinceMs: 100 }])
  })
})
