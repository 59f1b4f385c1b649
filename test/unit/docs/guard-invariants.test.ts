import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { repository } from '../../support/repository.ts'

const sections = readFileSync(join(repository, 'docs/reliability.md'), 'utf8').split(/^## /m)
const invariants = (sections.find((text) => text.startsWith('Invariants of the progress guard\n')) ?? '')
  .split(/^- /m)
  .slice(1)
  .map((text) => ({
    number: /^\*\*(G\d+)\.\*\*/.exec(text)?.[1],
    tests: [...text.matchAll(/^ {2}- `([^`]+)`: “([^”]+)”$/gm)].map(([, file = '', title = '']) => ({
      file,
      title,
    })),
  }))

/** Every test whose title ends with the number of an invariant. */
const numberedTests = globSync('test/{unit,integration,system}/**/*.test.ts', { cwd: repository }).flatMap(
  (file) =>
    [...readFileSync(join(repository, file), 'utf8').matchAll(/'([^'\n]+) \((G\d+)\)'/g)].map(
      ([, title = '', number = '']) => ({ file, title, number }),
    ),
)

const byText = (a: string, b: string) => (a < b ? -1 : 1)
const line = (number: string | undefined, place: { file: string; title: string }) =>
  `${number} ${place.file} ${place.title}`

describe('the invariants of the progress guard in docs/reliability.md', () => {
  test('are numbered from G1 without a hole', () => {
    expect(invariants.length).toBeGreaterThan(0)
    expect(invariants.map(({ number }) => number)).toEqual(invariants.map((_, i) => `G${i + 1}`))
  })

  test('each name a test', () => {
    expect(invariants.filter(({ tests }) => tests.length === 0).map(({ number }) => number)).toEqual([])
  })

  test('name exactly the tests whose titles end with their numbers', () => {
    const named = invariants.flatMap(({ number, tests }) => tests.map((place) => line(number, place)))
    const numbered = numberedTests.map(({ number, ...place }) => line(number, place))
    expect(named.toSorted(byText)).toEqual(numbered.toSorted(byText))
  })
})
