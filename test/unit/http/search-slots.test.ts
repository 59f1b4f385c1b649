import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { createSearchSlots } from '../../../cache-service/http/search-slots.ts'

class Response extends EventEmitter {
  readonly socket = new Socket()
}

function setUp(count: number) {
  let nowMs = 0
  const stalled: Socket[] = []
  const slots = createSearchSlots(count, {
    closing: new AbortController().signal,
    monotonicNow: () => nowMs,
    stalled: (socket) => void stalled.push(socket),
  })
  return { slots, stalled, pass: (ms: number) => void (nowMs += ms) }
}

async function* parts() {
  yield 'first'
  yield 'second'
}

const full = expect.objectContaining({ problem: expect.objectContaining({ type: 'too_many_searches' }) })

describe('a slot for a search', () => {
  test('is free when the result is complete, also while its caller still reads it', () => {
    const { slots } = setUp(1)
    const slot = slots.take(new Response())
    expect(() => slots.take(new Response())).toThrow(full)
    slot.release()
    slots.take(new Response())
  })

  test('is free when its caller has disconnected, and the search ends', () => {
    const { slots } = setUp(1)
    const response = new Response()
    const { signal } = slots.take(response)
    response.emit('close')
    expect(signal.aborted).toBe(true)
    slots.take(new Response())
  })

  test('is taken from the caller that has read nothing for longest, if that is 10 seconds', async () => {
    const { pass, slots, stalled } = setUp(2)
    const [searching, reading] = [new Response(), new Response()]
    slots.take(searching)
    const lines = slots.take(reading).watch(parts())
    pass(60_000)
    // It is not the caller's fault that nothing was written yet.
    expect(() => slots.take(new Response())).toThrow(full)
    await lines.next()
    pass(9_999)
    expect(() => slots.take(new Response())).toThrow(full)
    // The caller has read the first part.
    await lines.next()
    pass(9_999)
    expect(() => slots.take(new Response())).toThrow(full)
    await lines.next()
    pass(10_000)
    // All is written, but the caller does not read the end.
    slots.take(new Response())
    expect(stalled).toEqual([reading.socket])
  })
})
