import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { withAllTables, withEverydayTable } from '../../support/docs/option-tables.ts'
import { options } from '../../../cache-service/config/options.ts'
import { configDocuments } from '../../support/docs/config-docs.ts'

describe('the generated tables', () => {
  it.each(configDocuments)('in $name are up to date (npm run docs:config)', async ({ path, render }) => {
    expect(readFileSync(path, 'utf8')).toBe(await render())
  })

  it('list the everyday options in README.md and every option once in docs/configuration.md', () => {
    const everyday = withEverydayTable('<!-- config:begin --><!-- config:end -->')
    const all = withAllTables('<!-- config:begin --><!-- config:end -->')
    for (const { name, level } of options) {
      const row = `| \`${name}\` |`
      const counts = [everyday, all].map((tables) => tables.split(row).length - 1)
      expect(counts, name).toEqual([level === 'everyday' ? 1 : 0, 1])
    }
  })

  it.each([withEverydayTable, withAllTables])(
    'leave the rest of the document unchanged and need its markers (%o)',
    (withTables) => {
      const written = withTables('# a\n<!-- config:begin -->\nprevious\n<!-- config:end -->\n# b\n')
      expect(written).toMatch(/^# a\n<!-- config:begin -->/)
      expect(written).toMatch(/<!-- config:end -->\n# b\n$/)
      expect(written).not.toContain('previous')
      expect(() => withTables('# a')).toThrow('config:begin')
    },
  )
})

describe('the options', () => {
  it('include these everyday ones', () => {
    const everyday = options.filter(({ level }) => level === 'everyday').map(({ name }) => name)
    expect(everyday).toEqual([
      'KAFKA_BOOTSTRAP_SERVERS',
      'KAFKA_VALIDATED_DATA_TOPIC',
      'KAFKA_ERROR_TOPIC',
      'KAFKA_CONSUMER_GROUP_ID',
      'REDIS_HOST',
      'REDIS_PORT',
      'REDIS_DB',
      'REDIS_PASSWORD',
      'REDIS_METADATA_TTL',
      'METADATA_EXTRA_FIELDS',
      'PORT',
      'LOG_LEVEL',
      'METRICS_PORT',
    ])
  })

  it('have descriptions that fit into a table, a problem report and a line', () => {
    for (const { name, description } of options) {
      expect(description, name).toMatch(/^[^|\n]{10,200}$/)
    }
  })
})
