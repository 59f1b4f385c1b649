// The examples of a document: every fenced block of the language `console`, as a terminal would show it.
//
//   $ cache-cli get a b --format json      a command, optionally after NAME=value and before `| cache-cli …`
//   [ …                                    everything that is shown, stdout and stderr in the order of output
//   $ echo $?                              followed by the exit code, if it is not 0
//   3
//   ^C                                     as the last line: the command is interrupted after this output (130)
//
// A line that is only `…` stands for any lines, `…` within a line for any text.
import { eventually } from '../eventually.ts'
import { runCliHere, startCliHere } from '../processes/run-cli-here.ts'

export type DocExample = {
  /** The command line, without the $. */
  readonly command: string
  /** Line number in the document, from 1. */
  readonly line: number
  /** The expected output, without the line break at its end. */
  readonly shown: string
  readonly exitCode: number
  readonly isInterrupted: boolean
}

/** The environment of the examples, and what differs between runs. */
export type ExampleWorld = {
  readonly env: Readonly<Record<string, string>>
  /** Text of the document → the address or path of this run; applied to arguments, variables and output. */
  readonly aliases: Readonly<Record<string, string>>
  /** Removes what changes from run to run, on both sides. Times and runs of blanks are always treated as equal. */
  readonly tidy?: (text: string) => string
  /** Called as soon as a command that will be interrupted shows output: causes the events that it should show. */
  readonly happen?: (example: DocExample) => Promise<void>
}

export type ExampleRun = { readonly shown: string; readonly exitCode: number }

/** @throws Error for a block that can't be executed. */
export function readExamples(markdown: string): DocExample[] {
  const examples: DocExample[] = []
  let block: DocExample[] | undefined
  for (const [i, text] of markdown.split('\n').entries()) {
    if (block === undefined) {
      if (text === '```console') block = []
    } else if (text === '```') {
      examples.push(...block.map(withoutEnd))
      block = undefined
    } else {
      addLine(block, text, i + 1)
    }
  }
  return examples
}

function addLine(block: DocExample[], text: string, line: number): void {
  const last = block.at(-1)
  const command = /^\$ (.*)$/.exec(text)?.[1]
  if (command === undefined) {
    if (last === undefined) throw new Error(`line ${line}: a block must begin with a command`)
    const isCode = Number.isNaN(last.exitCode)
    block[block.length - 1] = isCode ? { ...last, exitCode: Number(text) } : shownBy(last, text)
  } else if (command === 'echo $?') {
    if (last === undefined) throw new Error(`line ${line}: no command precedes this line`)
    block[block.length - 1] = { ...last, exitCode: NaN }
  } else {
    parsePipeline(command)
    block.push({ command, line, shown: '', exitCode: 0, isInterrupted: false })
  }
}

function shownBy(example: DocExample, text: string): DocExample {
  if (text === '^C') return { ...example, isInterrupted: true, exitCode: 130 }
  return { ...example, shown: `${example.shown}${text}\n` }
}

function withoutEnd(example: DocExample): DocExample {
  if (Number.isNaN(example.exitCode)) throw new Error(`line ${example.line}: the exit code is missing`)
  return { ...example, shown: example.shown.trimEnd() }
}

type Call = { readonly env: Record<string, string>; readonly args: string[] }

/** @throws Error for a command that is not cache-cli. */
function parsePipeline(command: string): Call[] {
  return command.split(' | ').map((part) => {
    const words = [...part.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3] ?? '')
    const at = words.indexOf('cache-cli')
    const variables = words.slice(0, at).map((word) => /^([A-Z_]+)=(.*)$/.exec(word))
    const env: Record<string, string> = {}
    for (const variable of variables) if (variable?.[1] !== undefined) env[variable[1]] = variable[2] ?? ''
    if (at === -1 || variables.includes(null)) throw new Error(`not a cache-cli command: ${command}`)
    return { env, args: words.slice(at + 1) }
  })
}

/** Runs the example within this process; the commands of a pipeline run one after the other. */
export async function runExample(example: DocExample, world: ExampleWorld): Promise<ExampleRun> {
  const calls = parsePipeline(example.command).map(({ args, env }) => ({
    args: args.map((word) => resolveAliases(word, world)),
    env: { ...world.env, ...mapValues(env, (value) => resolveAliases(value, world)) },
  }))
  let stdin = ''
  let before = ''
  for (const { args, env } of calls.slice(0, -1)) {
    const { errors, output } = await runCliHere(args, env, { stdin })
    stdin = output
    before += errors
  }
  const last = calls.at(-1)
  if (last === undefined) throw new Error('a pipeline must contain a command')
  const running = startCliHere(last.args, last.env, { stdin })
  if (example.isInterrupted) {
    await eventually(() => {
      if (running.shown === '') throw new Error('no output yet')
    })
    await world.happen?.(example)
    await eventually(() => {
      const shown = before + running.shown
      if (!isAsShown(shown, example, world)) throw new Error(`the output is ${shown}`)
    }).catch(() => undefined) // the caller's comparison gives a better message
    running.interrupt()
  }
  const { code } = await running.ended
  return { shown: before + running.shown, exitCode: code }
}

/** The output, to be compared with `tidy(example.shown, world)`: equal if the output matches the example. */
export function asWritten(shown: string, example: DocExample, world: ExampleWorld): string {
  return isAsShown(shown, example, world) ? tidy(example.shown, world) : tidy(shown, world)
}

function isAsShown(shown: string, example: DocExample, world: ExampleWorld): boolean {
  return expectedPattern(example, world).test(tidy(shown, world))
}

function expectedPattern(example: DocExample, world: ExampleWorld): RegExp {
  const lines = tidy(example.shown, world).split('\n')
  const patterns = lines.map((line, i) => {
    const end = i === lines.length - 1 ? '' : '\\n'
    if (line === '…') return `(?:.*${end === '' ? '(?:\\n|$)' : end})*?`
    return line.split('…').map(escapePattern).join('.*') + end
  })
  return new RegExp(`^${patterns.join('')}$`)
}

function escapePattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}

/** The form in which output and example are compared. */
export function tidy(text: string, world: ExampleWorld): string {
  let renamed = text
  for (const [alias, meaning] of Object.entries(world.aliases)) renamed = renamed.replaceAll(meaning, alias)
  const timeless = (world.tidy?.(renamed) ?? renamed).replaceAll(
    /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g,
    '<time>',
  )
  return timeless.replaceAll(/(?<=\S) {2,}/g, ' ').trimEnd()
}

function resolveAliases(word: string, { aliases }: ExampleWorld): string {
  return Object.entries(aliases).reduce((text, [alias, meaning]) => text.replaceAll(alias, meaning), word)
}

function mapValues(record: Readonly<Record<string, string>>, change: (value: string) => string) {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]))
}
