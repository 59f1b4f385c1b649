import { expect, it } from 'vitest'
import { options } from '../../../cache-service/config/options.ts'
import { codeSpansOf } from '../../support/docs/markdown.ts'
import { readText } from '../../support/docs/repository-files.ts'

const VARIABLE =
  /^((?:API|CACHE|CHUNK|DEVICES|KAFKA|LAG|LOG|METADATA|METRICS|QUEUE|REDIS|SHUTDOWN|STATE|UPDATE)_[A-Z_]*[A-Z])(?:=.*)?$/

it.each(['docs/runbook.md', 'docs/migration.md'])('%s names only variables that exist', (page) => {
  const known = options.flatMap(({ kind, name }) => (kind === 'secret' ? [name, `${name}_FILE`] : [name]))
  const named = codeSpansOf(readText(page)).flatMap(({ line, text }) => {
    const name = VARIABLE.exec(text)?.[1]
    return name === undefined ? [] : [{ line, name }]
  })
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter(({ name }) => !known.includes(name))).toEqual([])
})
