import { expect, test } from 'vitest'
import { eventually } from '../../support/eventually.ts'

test('eventually returns the value of a check that passes after failures', async () => {
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

test('eventually reports the last error of a check that never passes', async () => {
  let tries = 0
  const check = () => {
    tries += 1
    throw new Error(`lag is ${100 - tries}`)
  }
  const given = eventually(check, { timeoutMs: 30, everyMs: 5, describe: 'catching up' })
  await expect(given).rejects.toThrow(
    /^catching up did not pass within .* s \(\d+ (try|tries)\)\. Last seen: lag is \d+$/,
  )
})

test('eventually gives up on a check that hangs', async () => {
  const { promise: never } = Promise.withResolvers<void>()
  const given = eventually(() => never, { timeoutMs: 20 })
  await expect(given).rejects.toThrow('it has not answered yet')
})
