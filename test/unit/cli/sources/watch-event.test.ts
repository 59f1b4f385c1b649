import { describe, expect, test } from 'vitest'
import { watchEventOf } from '../../../../cache-service/cli/sources/watch-event.ts'

const position = { update: '5-0', device: '7-1' }

describe('a watch event', () => {
  test('has the position as its id', () => {
    expect(watchEventOf({ kind: 'device', change: 'changed', deviceIds: ['a'], more: 2 }, position)).toEqual({
      kind: 'device',
      change: 'changed',
      deviceIds: ['a'],
      more: 2,
      id: '5-0.7-1',
    })
    expect(watchEventOf({ kind: 'reset', streams: ['device'], reason: 'missed' }, position)).toEqual({
      kind: 'reset',
      streams: ['device'],
      reason: 'missed',
      id: '5-0.7-1',
    })
  })

  test.each([
    ['{"type":"x","updated":null,"valid":true,"values":[1]}', { values: [1], isTooLarge: false }],
    ['{"type":"x","updated":null,"valid":true,"too_large":true}', { values: undefined, isTooLarge: true }],
  ])('of the update %s has its fields', (json, fields) => {
    expect(watchEventOf({ kind: 'update', json }, position)).toEqual({
      kind: 'update',
      type: 'x',
      updated: null,
      valid: true,
      ...fields,
      id: '5-0.7-1',
    })
  })

  test.each(['', '{', '[]', '{"type":7}'])('does not exist for the update %j', (json) => {
    expect(watchEventOf({ kind: 'update', json }, position)).toBeUndefined()
  })
})
