import { expect, test } from 'vitest'
import { parseWatchEvent } from '../../../../shared/client/event-stream.ts'

test('an update whose values are too large to be sent is an event without values', () => {
  const data = '{"type":"x","updated":null,"valid":true,"too_large":true}'
  expect(parseWatchEvent({ event: 'update', data }, '1-0.0-0')).toEqual({
    kind: 'update',
    type: 'x',
    updated: null,
    valid: true,
    values: undefined,
    isTooLarge: true,
    id: '1-0.0-0',
  })
})
