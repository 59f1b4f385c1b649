import { describe, expect, test } from 'vitest'
import { parseGlob } from '../../../../cache-service/core/cache-queue/glob.ts'

describe('a glob', () => {
  test.for(['*', 'a*b*c*', 'a?c', '[ab]*', 'ñandú:*', 'x'.repeat(128)])('can be %s', (text) => {
    expect(parseGlob(text)).toEqual({ kind: 'ok', glob: text })
  })

  test('can have any number of escaped stars', () => {
    expect(parseGlob(String.raw`\*\*\*\*\**`)).toMatchObject({ kind: 'ok' })
    expect(parseGlob(String.raw`\\*\\*\\*\\*`)).toEqual({ kind: 'refused', reason: 'too_many_stars' })
  })

  test.for([
    ['', 'empty'],
    ['x'.repeat(129), 'too_long'],
    ['*a*b*c*', 'too_many_stars'],
    ['****', 'too_many_stars'],
  ])('is refused: %s', ([text = '', reason]) => {
    expect(parseGlob(text)).toEqual({ kind: 'refused', reason })
  })
})
