import { expect, test } from 'vitest'
import { Turns } from '../../../cache-service/lifecycle/turns.ts'

test('steps of a key are taken one after the other, also behind one that fails; another key does not wait', async () => {
  const turns = new Turns<string>()
  const first = Promise.withResolvers<void>()
  const taken: string[] = []
  const failing = turns.take('a', async () => {
    taken.push('a1')
    await first.promise
    throw new Error('it failed')
  })
  const second = turns.take('a', async () => void taken.push('a2'))
  await turns.take('b', async () => void taken.push('b1'))
  expect(taken).toEqual(['a1', 'b1'])
  first.resolve()
  await expect(failing).rejects.toThrow('it failed')
  await second
  expect(taken).toEqual(['a1', 'b1', 'a2'])
})
