import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const readmePath = join(import.meta.dirname, '../../../README.md')

it('keeps README.md to 250 lines: details belong in docs/', () => {
  const lines = readFileSync(readmePath, 'utf8').trimEnd().split('\n')
  expect(lines.length).toBeLessThanOrEqual(250)
})
