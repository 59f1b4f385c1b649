import { describe, expect, test } from 'vitest'
import { CRASH_POINTS } from '../../crash/crash-points.ts'
import { planCrash } from '../../crash/run-crash.ts'
import { readText, repositoryFiles } from '../../support/docs/repository-files.ts'
import { editSources } from '../../support/source-edits.ts'

describe('a crash point', () => {
  test.each(Object.entries(CRASH_POINTS))('"%s" is a place in the source of the service', (_, { edit }) => {
    const [source] = editSources([edit]).values()
    expect(source).toContain('globalThis.crashPoint.reached()')
  })

  test('is not in the service itself', () => {
    const files = repositoryFiles().filter((path) => /^(cache-service|shared)\//.test(path))
    expect(files.filter((path) => /crashPoint|CRASH_POINT/.test(readText(path)))).toEqual([])
  })

  test('is reached by one of as many consecutive seeds as there are points', () => {
    const names = Object.keys(CRASH_POINTS)
    const plans = names.map((_, i) => planCrash(1_000 + i))
    expect(new Set(plans.map(({ point }) => point))).toEqual(new Set(names))
    expect(planCrash(1_000)).toEqual(plans[0])
  })
})

test('an edit that does not fit the source any more is an error', () => {
  const edit = { file: 'cache-service/main.ts', replace: 'this text is not in the file', by: '' }
  expect(() => editSources([edit])).toThrow('cache-service/main.ts does not contain exactly once: this text')
})
