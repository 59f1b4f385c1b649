import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { withConfigTables } from '../../../cache-service/config/docs.ts'
import { options } from '../../../cache-service/config/options.ts'
import { readmePath, renderReadme } from '../../support/docs/readme.ts'

describe('the configuration in README.md', () => {
  it('is what the options say (npm run docs:config)', async () => {
    expect(readFileSync(readmePath, 'utf8')).toBe(await renderReadme())
  })

  it('has every option once, the everyday ones before the fold', () => {
    const [everyday = '', advanced = ''] = withConfigTables('<!-- config:begin --><!-- config:end -->').split(
      '<details>',
    )
    for (const { name, level } of options) {
      const row = `| \`${name}\` |`
      expect([everyday.includes(row), advanced.includes(row)], name).toEqual([
        level === 'everyday',
        level === 'advanced',
      ])
    }
  })

  it('leaves the rest of the file alone, and needs its markers', () => {
    const written = withConfigTables('# a\n<!-- config:begin -->\nwritten before\n<!-- config:end -->\n# b\n')
    expect(written).toMatch(/^# a\n<!-- config:begin -->/)
    expect(written).toMatch(/<!-- config:end -->\n# b\n$/)
    expect(written).not.toContain('written before')
    expect(() => withConfigTables('# a')).toThrow('config:begin')
  })
})

describe('the options', () => {
  it('are a baker’s dozen of everyday ones and the rest', () => {
    expect(options.filter(({ level }) => level === 'everyday')).toHaveLength(13)
  })

  it('have descriptions that fit a table, a problem and a line', () => {
    for (const { name, description } of options) {
      expect(description, name).toMatch(/^[^|\n]{10,200}$/)
    }
  })
})
