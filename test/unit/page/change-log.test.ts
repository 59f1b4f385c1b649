import { expect, test } from 'vitest'
import { createChangeLog } from '../../../cache-service/page/change-log.js'

const ids = (log: { shown: { id: unknown }[] }) => log.shown.map(({ id }) => id)

test('the newest change comes first', () => {
  const log = createChangeLog()
  log.add([{ kind: 'changed', id: 'a' }], 1)
  log.add(
    [
      { kind: 'changed', id: 'b' },
      { kind: 'deleted', id: 'c' },
    ],
    2,
  )
  expect(ids(log)).toEqual(['c', 'b', 'a'])
})

test('a paused log does not move, counts what comes, and shows it when it is resumed', () => {
  const log = createChangeLog()
  log.add([{ kind: 'changed', id: 'a' }], 1)
  log.pause()
  log.add(
    [
      { kind: 'changed', id: 'b' },
      { kind: 'changed', id: 'c' },
    ],
    2,
  )
  expect([ids(log), log.waiting]).toEqual([['a'], 2])
  log.resume()
  expect([ids(log), log.waiting, log.isPaused]).toEqual([['c', 'b', 'a'], 0, false])
})

test('the log is bounded, also by one large event', () => {
  const log = createChangeLog()
  log.add(
    Array.from({ length: 10_000 }, (_, i) => ({ kind: 'changed', id: String(i) })),
    1,
  )
  for (let i = 0; i < 1_000; i++) log.add([{ kind: 'changed', id: 'x' }], 2)
  expect(log.shown).toHaveLength(500)
})
