import { expect, test } from 'vitest'
import { eventually } from '../../support/eventually.ts'

test('a check that passes gives its value, however often it failed before', async () => {
  let tries = 0
  const value = await eventually(
    () => {
      tries += 1
      if (tries < 3) throw new Error(`try ${tries}`)
      return 'passed'
    },
    { everyMs: 1 },
  )
  expect(value).toBe('passed')
  expect(tries).toBe(3)
})

test('a check that never passes reports what it saw last', async () => {
  let tries = 0
  const check = () => {
    tries += 1
    throw new Error(`lag is ${100 - tries}`)
  }
  const given = eventually(check, { timeoutMs: 30, everyMs: 5, describe: 'catching up' })
  await expect(given).rejects.toThrow(
    /^catching up did not pass within .* s \(\d+ tries\)\. Last seen: lag is \d+$/,
  )
})

test('a check that hangs is given up on', async () => {
  const { promise: never } = Promise.withResolvers<void>()
  const given = eventually(() => never, { timeoutMs: 20 })
  await expect(given).rejects.toThrow('it has not answered yet')
})
