import { expect, test } from 'vitest'
import { runPromtool } from '../../support/servers/own-prometheus.ts'

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
