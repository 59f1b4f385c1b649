import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { dashboards } from '../../../deploy/grafana/dashboards.ts'
import { runPromtool } from '../../support/servers/own-prometheus.ts'
import { folderOfTest } from '../../support/temporary-folder.ts'

test('promtool accepts the configuration and the rules that it loads', async () => {
  const { code, stdout, stderr } = await runPromtool(['check', 'config', 'prometheus.yml'])
  expect(`${stdout}${stderr}`).not.toMatch(/FAILED|duplicate/)
  expect(code).toBe(0)
})

test('each alert fires when it should, and none does at a normal restart', async () => {
  const { code, stdout, stderr } = await runPromtool(['test', 'rules', 'tests.yml'])
  expect(`${stdout}${stderr}`).toBe('Unit Testing:  tests.yml\n  SUCCESS\n\n')
  expect(code).toBe(0)
})

test('promtool can parse every expression of the dashboards', async () => {
  const expressions = dashboards
    .flatMap(({ parts }) => parts.panels.flatMap(({ queries }) => queries.map(({ expr }) => expr)))
    .map((expr) => expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$\w+/g, '.*'))
  const rules = expressions.map((expr, index) => ({ record: `panel:${index}`, expr }))
  const folder = folderOfTest()
  writeFileSync(join(folder, 'panels.yml'), JSON.stringify({ groups: [{ name: 'panels', rules }] }))
  const { code, stdout, stderr } = await runPromtool(['check', 'rules', 'panels.yml'], folder)
  expect(`${stdout}${stderr}`).toContain(`SUCCESS: ${rules.length} rules found`)
  expect(code).toBe(0)
})
