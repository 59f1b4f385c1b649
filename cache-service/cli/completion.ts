import type { Command } from 'commander'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** A command with everything that may follow it. */
type Node = {
  /** Such as `errors list`; empty: the program. */
  readonly path: string
  readonly commands: readonly { readonly name: string; readonly description: string }[]
  readonly options: readonly OptionWords[]
}

type OptionWords = {
  readonly words: readonly string[]
  readonly description: string
  readonly takesValue: boolean
  readonly choices: readonly string[]
}

/**
 * A script that completes commands, options and their choices. It is made from the commands themselves, and does not start
 * `cache-cli` at every Tab, which would take half a second.
 */
export function completionScript(shell: Shell, program: Command): string {
  const nodes = nodesOf(program, '')
  switch (shell) {
    case 'bash':
      return bashScript(program.name(), nodes)
    case 'zsh':
      return `#compdef ${program.name()}\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(program.name(), nodes)}`
    case 'fish':
      return fishScript(program.name(), nodes)
  }
}

function nodesOf(command: Command, path: string): Node[] {
  const node = {
    path,
    commands: command.commands.map((sub) => ({ name: sub.name(), description: sub.description() })),
    options: command
      .createHelp()
      .visibleOptions(command)
      .map(({ argChoices, description, flags, required }) => ({
        words: flags.split(/[ ,|]+/).filter((word) => word.startsWith('-')),
        description,
        takesValue: required,
        choices: argChoices ?? [],
      })),
  }
  const below = command.commands.flatMap((sub) =>
    nodesOf(sub, path === '' ? sub.name() : `${path} ${sub.name()}`),
  )
  return [node, ...below]
}

function bashScript(name: string, nodes: readonly Node[]): string {
  const program = nodes[0]?.options ?? []
  const all = nodes.flatMap(({ options }) => options)
  const withValue = [...new Set(all.filter(({ takesValue }) => takesValue).flatMap(({ words }) => words))]
  const choices = all.filter((option) => option.choices.length > 0)
  const byWords = new Map(choices.map((option) => [option.words.join('|'), option.choices.join(' ')]))
  const values = [...byWords].map(
    ([words, list]) => `    ${words}) COMPREPLY=($(compgen -W '${list}' -- "$word")); return ;;`,
  )
  const wordsOf = ({ commands, options, path }: Node) => {
    const here = [...options, ...(path === '' ? [] : program)].flatMap(({ words }) => words)
    return [...new Set([...commands.map((command) => command.name), ...here])].join(' ')
  }
  const lists = nodes.map((node) => `    '${node.path}') words='${wordsOf(node)}' ;;`)
  const paths = nodes.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`)
  return `# Completion of ${name} for bash and zsh.
_${name.replaceAll('-', '_')}() {
  local word="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path='' next words i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
    ${withValue.join('|')}) ((i++)); continue ;;
    -*) continue ;;
    esac
    next="\${path:+$path }\${COMP_WORDS[i]}"
    case "$next" in
    ${paths.join('|')}) path="$next" ;;
    esac
  done
  case "$previous" in
${values.join('\n')}
    ${withValue.join('|')}) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case "$path" in
${lists.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  # Otherwise a file, for the commands that read one.
  if [[ \${#COMPREPLY[@]} -eq 0 && "$word" != -* ]]; then COMPREPLY=($(compgen -f -- "$word")); fi
}
complete -F _${name.replaceAll('-', '_')} ${name}
`
}

function fishScript(name: string, nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ commands, options, path }) => {
    const names = path.split(' ').filter((word) => word !== '')
    const seen = names.map((word) => `__fish_seen_subcommand_from ${word}`)
    const below = commands.map((command) => command.name).join(' ')
    const isHere = [...seen, ...(below === '' ? [] : [`not __fish_seen_subcommand_from ${below}`])].join(
      '; and ',
    )
    return [
      ...commands.map(
        (command) =>
          `complete -c ${name} -f -n ${quoted(isHere)} -a ${command.name} -d ${quoted(command.description)}`,
      ),
      ...options.map(({ choices, description, takesValue, words }) =>
        [
          `complete -c ${name}`,
          ...(seen.length === 0 ? [] : [`-n ${quoted(seen.join('; and '))}`]),
          ...words.map((word) => (word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`)),
          ...(choices.length > 0 ? [`-x -a ${quoted(choices.join(' '))}`] : takesValue ? ['-r'] : []),
          `-d ${quoted(description)}`,
        ].join(' '),
      ),
    ]
  })
  return `# Completion of ${name} for fish.\n${lines.join('\n')}\n`
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`
}
