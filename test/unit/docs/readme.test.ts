import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { repository } from '../../support/repository.ts'

it('keeps README.md to 250 lines: details belong in docs/', () => {
  const lines = readFileSync(join(repository, 'README.md'), 'utf8').trimEnd().split('\n')
  expect(lines.length).toBeLessThanOrEqual(250)
})
