import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { deviceLink, parseRoute } from '../../../cache-service/page/route.js'

describe('the fragment of the address', () => {
  test.each([
    ['', { view: 'overview', query: '' }],
    ['#', { view: 'overview', query: '' }],
    ['#workers', { view: 'workers', query: '' }],
    ['#devices?type=a&b', { view: 'devices', query: 'type=a&b' }],
    ['#device=a%2Fb', { view: 'device', id: 'a/b' }],
    ['#device=a?b#c', { view: 'device', id: 'a?b#c' }],
  ])('%s shows a view', (hash, route) => {
    expect(parseRoute(hash)).toEqual(route)
  })

  test.each([
    ['#device=100%', '100%'],
    ['#device=%', '%'],
    ['#device=%E0%A4%A', '%E0%A4%A'],
    ['#device=%C3%B1-100%', 'ñ-100%'],
    ['#device=%FF%20x', '%FF%20x'],
  ])('%s shows a device, although it is not a valid escape', (hash, id) => {
    expect(parseRoute(hash)).toEqual({ view: 'device', id })
  })

  test.each(['#device=', '#nonsense', '#%', '#__proto__', '#toString', '#device', '#<script>'])(
    '%s shows the overview, and says what is unknown',
    (hash) => {
      expect(parseRoute(hash)).toMatchObject({ view: 'overview', unknown: hash.slice(1) })
    },
  )

  test('of a link to a device leads to the device, whatever its id contains', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (id) => {
        // As browsers do with what is assigned to location.hash.
        const { hash } = new URL(deviceLink(id), 'http://localhost/')
        expect(parseRoute(hash)).toEqual({ view: 'device', id })
      }),
    )
  })
})
