import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { linkAbort, onAbort, untilAborted, waitFor } from '../../../shared/abort.ts'

describe('a signal', () => {
  test('has one listener, however many follow it, and none when the last has left', () => {
    const { signal } = new AbortController()
    const releases = Array.from({ length: 1_000 }, () => onAbort(signal, () => {}))
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    for (const release of releases) {
      release()
      release()
    }
    expect(getEventListeners(signal, 'abort')).toEqual([])
    onAbort(signal, () => {})
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  })

  test('runs each action that was not released, also one that was added twice', () => {
    const abort = new AbortController()
    const runs: string[] = []
    const twice = () => void runs.push('twice')
    onAbort(abort.signal, twice)
    onAbort(abort.signal, twice)
    const release = onAbort(abort.signal, () => void runs.push('released'))
    onAbort(abort.signal, () => release())
    release()
    abort.abort()
    expect(runs).toEqual(['twice', 'twice'])
  })

  test('ends the wait for work that ignores it, and leaves no listener behind', async () => {
    const abort = new AbortController()
    await expect(untilAborted(Promise.resolve(1), abort.signal)).resolves.toBe(1)
    await expect(untilAborted(Promise.reject(new Error('failed')), abort.signal)).rejects.toThrow('failed')
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
    const ended = untilAborted(new Promise(() => {}), abort.signal)
    abort.abort(new Error('aborted'))
    await expect(ended).rejects.toThrow('aborted')
    await expect(untilAborted(Promise.reject(new Error('failed')), abort.signal)).rejects.toThrow('aborted')
  })
})

describe('signals', () => {
  test('that are linked abort with the reason of the first source that aborts, until they are released', () => {
    const [first, second] = [new AbortController(), new AbortController()]
    const link = linkAbort(first.signal, undefined, second.signal)
    const released = linkAbort(second.signal)
    released.release()
    second.abort('why')
    first.abort('too late')
    expect([link.signal.reason, released.signal.aborted]).toEqual(['why', false])
    expect(linkAbort(first.signal).signal.reason).toBe('too late')
  })

  test('end a wait before its time', async () => {
    const abort = new AbortController()
    await waitFor(1, abort.signal)
    const long = waitFor(600_000, abort.signal)
    abort.abort(new Error('aborted'))
    await expect(long).rejects.toThrow('aborted')
    await expect(waitFor(1, abort.signal)).rejects.toThrow('aborted')
  })
})
