import { execFileSync } from 'node:child_process'
import { Command } from 'commander'
import { expect, test } from 'vitest'
import { COMMANDS } from '../../../cache-service/cli/commands.ts'
import { REJECT_REASONS } from '../../../cache-service/core/records/parse-record.ts'
import {
  deadLetterCommands,
  deviceErrorsCommand,
  getCommand,
  replayReasonCommand,
} from '../../../cache-service/page/commands.js'

/** The arguments that a shell passes to the program. */
function argumentsOf(line: string): string[] {
  const script = line.replace(/^cache-cli /, String.raw`printf '%s\0' `)
  return execFileSync('sh', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1)
}

/** The commands of cache-cli that accepted the arguments, with these and their options. */
async function parsed(line: string) {
  const program = new Command('cache-cli').exitOverride().configureOutput({ writeErr: () => undefined })
  const accepted: unknown[] = []
  for (const register of COMMANDS) register({ program, perform: async () => void accepted.push(true) })
  program.hook('preAction', (_program, action) => {
    accepted.push({ name: action.name(), arguments: action.args, options: action.opts() })
  })
  await program.parseAsync(argumentsOf(line), { from: 'user' })
  return accepted[0]
}

test.each([
  'sensor-1',
  '-x',
  '--help',
  "it's",
  'a b;rm *',
  '$(id)`id`',
  '"',
  '\\',
  '100%',
  'ñ/🙂',
  '!x',
  '~',
])('the commands of the device %s are those of cache-cli', async (id) => {
  expect(await parsed(getCommand(id))).toMatchObject({ name: 'get', arguments: [id] })
  expect(await parsed(deviceErrorsCommand(id))).toMatchObject({ name: 'list', options: { device: [id] } })
})

test('the commands of a dead letter are those of cache-cli', async () => {
  const lines = deadLetterCommands({ partition: 3, offset: '4711' })
  const span = { partition: 3, from: 4711, to: 4711 }
  expect(await parsed(lines?.record ?? '')).toMatchObject({
    name: 'explain',
    options: { partition: 3, offset: 4711 },
  })
  expect(await parsed(lines?.list ?? '')).toMatchObject({ name: 'list', options: { source: [span] } })
  expect(await parsed(lines?.replay ?? '')).toMatchObject({ name: 'replay', options: { source: [span] } })
  expect(await parsed(`${lines?.replay} --dry-run`)).toMatchObject({ options: { dryRun: true } })
})

test.each(REJECT_REASONS)(
  'the command that replays the dead letters with the reason %s is that of cache-cli',
  async (reason) => {
    expect(await parsed(replayReasonCommand(reason) ?? '')).toMatchObject({
      name: 'replay',
      options: { reason: [reason], dryRun: true },
    })
  },
)

test('what a report should not contain never reaches a shell', () => {
  expect(deadLetterCommands({ partition: 0, offset: '1; rm' })).toBeUndefined()
  expect(replayReasonCommand('a; rm')).toBeUndefined()
})
