import { describe, expect, test } from 'vitest'
import { HeldBytes } from '../../../../cache-service/http/hooks/held-bytes.ts'

function setUp(maximum: number) {
  const givenUp: string[] = []
  return { held: new HeldBytes<string>(maximum, (holder) => givenUp.push(holder)), givenUp }
}

describe('bytes that are held for others', () => {
  test('are given up beyond the maximum, those that were held first before the others', () => {
    const { givenUp, held } = setUp(10)
    held.add('a', 4)
    held.add('b', 4)
    held.add('a', 2)
    expect(givenUp).toEqual([])
    held.add('c', 8)
    expect(givenUp).toEqual(['a', 'b'])
    expect(held.oldest).toBe('c')
  })

  test('may exceed the maximum for the newest holder alone', () => {
    const { givenUp, held } = setUp(10)
    held.add('a', 20)
    held.add('b', 1)
    expect(givenUp).toEqual(['a'])
  })

  test('no longer count once they are removed', () => {
    const { givenUp, held } = setUp(10)
    held.add('a', 8)
    held.remove('a')
    held.remove('a')
    held.add('b', 8)
    expect([givenUp, held.oldest]).toEqual([[], 'b'])
  })
})
