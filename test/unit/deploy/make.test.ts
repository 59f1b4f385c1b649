import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { readText } from '../../support/docs/repository-files.ts'
import { repository } from '../../support/repository.ts'

test('make check needs no tools besides Node.js', () => {
  const { stdout } = spawnSync('make', ['--dry-run', '--always-make', 'check'], {
    cwd: repository,
    encoding: 'utf8',
  })
  expect(stdout).toContain('test/run-all.ts --project unit')
  expect(stdout.match(/install-tools\.sh.*/g)).toEqual(['install-tools.sh --node-only'])
})

test('make install accepts every Chromium that the tests of the page find', () => {
  const names = /const NAMES = \[(.*)\]/.exec(readText('test/support/servers/chromium.ts'))?.[1] ?? ''
  const script = readText('deploy/local/install-tools.sh')
  const accepted = [...script.matchAll(/have ((?:chromium|google-chrome)[a-z-]*)/g)].map(
    ([, name]) => `'${name}'`,
  )
  expect(accepted.join(', ')).toBe(names)
  expect(script).toContain('${CHROMIUM:-}')
})
