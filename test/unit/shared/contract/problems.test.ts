import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PROBLEM_TYPES, problemEntry } from '../../../../shared/contract/problems.ts'
import { problemsPagePath, renderProblemsPage } from '../../../support/docs/problems-page.ts'

test('docs/problems.md lists the problem types as the table defines them (npm run docs:config)', async () => {
  expect(readFileSync(problemsPagePath, 'utf8')).toBe(await renderProblemsPage())
})

describe('a problem type', () => {
  test.each(PROBLEM_TYPES)('%s is snake_case, with an error status and texts that fit a table', (type) => {
    const { status, title, when, detail = when } = problemEntry(type)
    expect(type).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(600)
    expect(title).toMatch(/^[A-Z][\w ]{3,30}$/)
    for (const sentence of [when, detail]) expect(sentence).toMatch(/^[A-Z`][^|\n]{10,120}\.$/)
  })
})
