import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { apiReportPath, renderApiReport } from '../../support/docs/api-report.ts'

const RENDERED_WITHIN_MS = 120_000

describe('the API of the libraries', () => {
  let report: string
  beforeAll(async () => {
    report = await renderApiReport()
  }, RENDERED_WITHIN_MS)

  test('is as docs/api-report.md describes it (npm run docs:config)', () => {
    expect(readFileSync(apiReportPath, 'utf8')).toBe(report)
  })

  test('accepts undefined for every option and field that may be omitted', () => {
    const optional = [...report.matchAll(/^ +readonly \w+\?: [^\n]+(?:\n +\| [^\n]+)*/gm)].map(
      ([field]) => field,
    )
    expect(optional.length).toBeGreaterThan(30)
    expect(optional.filter((field) => !/\bundefined\b|\bunknown\b/.test(field))).toEqual([])
  })

  test('contains the public types, and no internal ones', () => {
    for (const name of [
      'DeviceCacheClient',
      'WatchEvent',
      'NearCacheOptions',
      'RedisConfigStore',
      'ConfigChange',
    ]) {
      expect(report).toMatch(new RegExp(`^export (declare )?(class|type) ${name}\\b`, 'm'))
    }
    for (const internal of ['ApiTransport', 'LookupFlights', 'RedisConnection', 'WatchedConfig']) {
      expect(report).not.toMatch(new RegExp(`\\b${internal}\\b`))
    }
  })
})
