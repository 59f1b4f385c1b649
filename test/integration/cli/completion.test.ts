import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { runCliHere } from '../../support/processes/run-cli-here.ts'

/** What a real bash offers after Tab at the end of the line. */
async function completed(line: string): Promise<string[]> {
  const { output } = await runCliHere(['completion', 'bash'])
  const words = line.split(' ')
  const asked = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _cache_cli; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stderr, stdout } = spawnSync('bash', ['--norc', '-c', `${output}\n${asked}`], { encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout.split('\n').filter((word) => word !== '')
}

test.each([
  ['cache-cli e', ['errors', 'explain']],
  ['cache-cli errors s', ['show', 'stats']],
  ['cache-cli -f json --output x errors re', ['replay']],
  ['cache-cli list -f js', ['json', 'jsonl']],
  ['cache-cli errors replay --to ', ['cache', 'topic']],
  ['cache-cli errors replay --dr', ['--dry-run']],
  ['cache-cli sweep --qui', ['--quiet']],
  ['cache-cli batch --file package.js', ['package.json']],
])('bash completes "%s"', async (line, expected) => {
  expect(await completed(line)).toEqual(expected)
})

test('each shell has a script, and another one is a usage error that names them', async () => {
  expect((await runCliHere(['completion', 'zsh'])).output).toMatch(/^#compdef cache-cli\n/)
  expect((await runCliHere(['completion', 'fish'])).output).toMatch(/^complete -c cache-cli .*-a list /m)
  const { code, errors } = await runCliHere(['completion', 'tcsh'])
  expect(code).toBe(2)
  expect(errors).toContain('Allowed choices are bash, zsh, fish.')
})
