import { describe, expect, test } from 'vitest'
import { clientEventOf } from '../../../../cache-service/core/events/client-event.ts'
import { createEventFilter } from '../../../../cache-service/core/events/event-filter.ts'
import { eventFrame } from '../../../../cache-service/core/events/event-frames.ts'
import type { StreamEvent } from '../../../../cache-service/core/events/stream-entry.ts'

const update: StreamEvent = {
  stream: 'update',
  entry: { id: '1-0', kind: 'update', type: 'alarms', json: '{"type":"alarms"}' },
}
const hint: StreamEvent = {
  stream: 'device',
  entry: { id: '2-0', kind: 'deleted', deviceIds: ['a', 'b'], more: 3 },
}
const namedHint: StreamEvent = {
  stream: 'device',
  entry: { id: '2-0', kind: 'changed', deviceIds: ['a', 'b'], more: 0 },
}
const gap: StreamEvent = { stream: 'device', entry: { id: '3-0', kind: 'gap', reason: 'overflow' } }

const both = ['update', 'device'] as const
const everything = createEventFilter(both, [], [])

describe('a client event', () => {
  test('is the whole entry if the filter excludes nothing', () => {
    expect(clientEventOf(update, everything)).toEqual({ kind: 'update', json: '{"type":"alarms"}' })
    expect(clientEventOf(hint, everything)).toEqual({
      kind: 'device',
      change: 'deleted',
      deviceIds: ['a', 'b'],
      more: 3,
    })
    expect(clientEventOf(gap, everything)).toEqual({
      kind: 'reset',
      streams: ['device'],
      reason: 'overflow',
    })
  })

  test('names only the devices that the filter names', () => {
    expect(clientEventOf(hint, createEventFilter(both, ['b', 'c'], []))).toEqual({
      kind: 'device',
      change: 'deleted',
      deviceIds: ['b'],
      more: 3,
    })
  })

  test('exists for devices that the entry does not name if it says that there are more', () => {
    expect(clientEventOf(hint, createEventFilter(both, ['c'], []))).toEqual({
      kind: 'device',
      change: 'deleted',
      deviceIds: [],
      more: 3,
    })
  })

  test.each([
    ['of another stream', update, createEventFilter(['device'], [], [])],
    ['a gap of another stream', gap, createEventFilter(['update'], [], [])],
    ['of another type', update, createEventFilter(both, [], ['doors'])],
    ['of other devices only', namedHint, createEventFilter(both, ['c'], [])],
  ])('does not exist for an entry that is excluded: %s', (_, event, filter) => {
    expect(clientEventOf(event, filter)).toBeUndefined()
    expect(eventFrame(event, { update: '1-0', device: '1-0' }, filter)).toBeUndefined()
  })

  test('is rendered as SSE under the names of the API', () => {
    const position = { update: '9-0', device: '2-0' }
    expect([update, hint, gap].map((event) => eventFrame(event, position, everything))).toEqual([
      'id: 9-0.2-0\nevent: update\ndata: {"type":"alarms"}\n\n',
      'id: 9-0.2-0\nevent: device\ndata: {"change":"deleted","device_ids":["a","b"],"more":3}\n\n',
      'id: 9-0.2-0\nevent: reset\ndata: {"streams":["device"],"reason":"overflow"}\n\n',
    ])
  })
})
