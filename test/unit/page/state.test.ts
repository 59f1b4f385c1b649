import { describe, expect, test } from 'vitest'
import { createState } from '../../../cache-service/page/state.js'

/** A state whose requests are answered by the test, in any order. */
function openState() {
  const asked: { path: string; answer: (state: object) => void; fail: (status: number) => void }[] = []
  const api = {
    ask: (path: string) =>
      new Promise((resolve, reject) => {
        asked.push({
          path,
          answer: (state) => resolve({ state }),
          fail: (status) => reject(Object.assign(new Error('failed'), { status })),
        })
      }),
  }
  const state = createState(api, { now: () => 0, changed: () => undefined })
  const set = (type: string, values: string) =>
    state.apply(JSON.stringify({ type, updated: null, valid: true, values }))
  const shown = () => state.types?.map((type: string) => [type, state.valueOf(type).values])
  return { state, asked, set, shown }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))
const valueOf = (values: string) => ({ updated: null, valid: true, values })

describe('an answer to a request for the whole state', () => {
  test('replaces what was known before, but not what events have brought since it was asked for', async () => {
    const { state, asked, set, shown } = openState()
    set('before', 'older')
    const loading = state.source.load()
    set('during', 'event')
    set('new', 'event')
    asked[0]?.answer({ before: valueOf('old'), during: valueOf('old'), other: valueOf('old') })
    await loading
    expect(shown()).toEqual([
      ['before', 'old'],
      ['during', 'event'],
      ['new', 'event'],
      ['other', 'old'],
    ])
    const again = state.source.load()
    asked[1]?.answer({ new: valueOf('newer') })
    await again
    expect(shown()).toEqual([['new', 'newer']])
  })

  test('is asked for once at a time, and once more for all who ask meanwhile', async () => {
    const { state, asked } = openState()
    const loads = [state.source.load(), state.source.load(), state.source.load()]
    expect(asked.length).toBe(1)
    asked[0]?.answer({})
    await settled()
    expect(asked.length).toBe(2)
    asked[1]?.answer({})
    await Promise.all(loads)
    expect(asked.length).toBe(2)
  })
})
