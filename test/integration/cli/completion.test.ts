import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SHELLS, type Shell } from '../../../cache-service/cli/completion.ts'
import { runCliHere } from '../../support/processes/run-cli-here.ts'
import { repository } from '../../support/repository.ts'

let folder: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'test-cli-completion-'))
  for (const shell of SHELLS) {
    const { output } = await runCliHere(['completion', shell])
    writeFileSync(join(folder, shell === 'zsh' ? '_cache-cli' : shell), output)
  }
  writeFileSync(join(folder, 'tab.zsh'), TAB_IN_ZSH)
})
afterAll(() => rmSync(folder, { recursive: true }))

function run(shell: Shell, args: readonly string[]): string {
  const { status, stderr, stdout } = spawnSync(shell, args, {
    cwd: repository,
    encoding: 'utf8',
    timeout: 50_000,
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

/**
 * A real zsh with the script in its fpath: prints each line as it is after Tab. The first Tab loads the script, which is
 * another path through it than the second one.
 */
const TAB_IN_ZSH = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1= PS2=; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -D -u; cache-cli() { :; }
_show() { print -r -- \\"<\\$BUFFER>\\"; BUFFER= }; zle -N _show; bindkey '^X' _show; bindkey '^I' complete-word
setopt no_auto_menu no_list_beep no_auto_list; echo rea''dy"
zpty -r -m shell out '*ready*'
for line in "\${@[2,-1]}"; do
  zpty -w -n shell "$line"$'\\t\\x18'
  zpty -r -m shell out '*<*>*'
  print -r -- "\${\${out##*<}%%>*}"
done
`

/** What each shell offers for the last word, or for zsh: the line after Tab. */
const OFFERS: Readonly<Record<Shell, (lines: readonly string[]) => string[]>> = {
  bash: (lines) =>
    lines.map((line) => {
      const words = line.split(' ')
      const asked = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _cache_cli`
      const printed = run('bash', [
        ...['--norc', '-c', `. "$1"; ${asked}; printf '%s\\n' "\${COMPREPLY[@]}"`],
        ...['bash', join(folder, 'bash')],
      ])
      return printed
        .split('\n')
        .map((word) => word.trim())
        .join(' ')
        .trim()
    }),
  zsh: (lines) =>
    run('zsh', ['-f', join(folder, 'tab.zsh'), folder, ...lines])
      .trimEnd()
      .split('\n'),
  fish: (lines) =>
    lines.map((line) =>
      run('fish', ['--no-config', '-c', `source ${join(folder, 'fish')}; complete -C '${line}'`])
        .split('\n')
        .map((offer) => offer.split('\t')[0])
        .join(' ')
        .trim(),
    ),
}

function isMissing(shell: Shell): boolean {
  return spawnSync(shell, ['-c', 'true']).status !== 0
}

const OFFERED: readonly (readonly [line: string, offered: string])[] = [
  ['cache-cli e', 'errors explain'],
  ['cache-cli errors s', 'show stats'],
  ['cache-cli -f json --output x errors re', 'replay'],
  ['cache-cli list -f js', 'json jsonl'],
  ['cache-cli errors replay --to ', 'cache topic'],
  ['cache-cli errors replay --dr', '--dry-run'],
  ['cache-cli sweep --qui', '--quiet'],
  ['cache-cli batch --file package.js', 'package.json'],
  // Each command has columns of its own, also if another command has the same name.
  ['cache-cli list --columns dat', 'datatype_name datatype_id datatype_unit'],
  ['cache-cli list --columns device_id,last', 'device_id,last_updated'],
  ['cache-cli errors list --columns rea', 'reason'],
  ['cache-cli token list --columns st', 'status'],
  ['cache-cli errors list --sort rea', 'reason'],
  ['cache-cli errors list --mat', ''],
]

const sorted = (offered: string) => offered.split(' ').toSorted().join(' ')

describe.each(['bash', 'fish'] as const)('%s', (shell) => {
  test('completes commands, options, choices, columns and files', (context) => {
    if (isMissing(shell)) context.skip(`${shell} is not installed`)
    const offered = OFFERS[shell](OFFERED.map(([line]) => line))
    expect(OFFERED.map(([line], i) => `${line} → ${sorted(offered[i] ?? '')}`)).toEqual(
      OFFERED.map(([line, words]) => `${line} → ${sorted(words)}`),
    )
  })
})

describe('zsh', () => {
  test('completes at the first Tab, which loads the script, and at later ones', (context) => {
    if (isMissing('zsh')) context.skip('zsh is not installed')
    expect(OFFERS.zsh(['cache-cli tok'])).toEqual(['cache-cli token'])
    const completed = OFFERED.filter(([, offered]) => offered !== '' && !offered.includes(' '))
    const lineAfterTab = ([line, offered]: (typeof OFFERED)[number]) =>
      `${line.slice(0, line.lastIndexOf(' ') + 1)}${offered}`
    expect(OFFERS.zsh(completed.map(([line]) => line)).map((line) => line.trimEnd())).toEqual(
      completed.map(lineAfterTab),
    )
  })
})

test('another shell is a usage error that names the known ones', async () => {
  const { code, errors } = await runCliHere(['completion', 'tcsh'])
  expect(code).toBe(2)
  expect(errors).toContain('Allowed choices are bash, zsh, fish.')
})
