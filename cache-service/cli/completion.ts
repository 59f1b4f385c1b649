import type { Command } from 'commander'
import { ListOption } from './row-options.ts'

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
  /** Several choices may follow each other, separated by commas. */
  readonly isList: boolean
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
      return zshScript(program.name(), nodes)
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
      .map((option) => ({
        words: option.flags.split(/[ ,|]+/).filter((word) => word.startsWith('-')),
        description: option.description,
        takesValue: option.required,
        choices: option.argChoices ?? [],
        isList: option instanceof ListOption,
      })),
  }
  const below = command.commands.flatMap((sub) =>
    nodesOf(sub, path === '' ? sub.name() : `${path} ${sub.name()}`),
  )
  return [node, ...below]
}

/** zsh loads the file at the first Tab, so it must also complete this time. */
function zshScript(name: string, nodes: readonly Node[]): string {
  return `#compdef ${name}
autoload -U +X bashcompinit && bashcompinit
${bashScript(name, nodes)}if [[ -n "\${compstate[context]-}" ]]; then _bash_complete -o nospace -F ${functionName(name)}; fi
`
}

function bashScript(name: string, nodes: readonly Node[]): string {
  const program = nodes[0]?.options ?? []
  const all = nodes.flatMap(({ options }) => options)
  const withValue = [...new Set(all.filter(({ takesValue }) => takesValue).flatMap(({ words }) => words))]
  const choicesOf = ({ choices, isList, words }: OptionWords, path: string) =>
    `    ${words.map((word) => `${path}:${word}`).join('|')}) _choices='${choices.join(' ')}'${isList ? ' _list=1' : ''} ;;`
  const values = nodes.flatMap(({ options, path }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .map((option) => choicesOf(option, path === '' ? '*' : `'${path}'`)),
  )
  const wordsOf = ({ commands, options, path }: Node) => {
    const here = [...options, ...(path === '' ? [] : program)].flatMap(({ words }) => words)
    return [...new Set([...commands.map((command) => command.name), ...here])].join(' ')
  }
  const lists = nodes.map((node) => `    '${node.path}') words='${wordsOf(node)}' ;;`)
  const paths = nodes.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`)
  // After a list, there is no space: a comma may follow. For the others, the space is part of the word.
  return `# Completion of ${name} for bash and zsh.
${functionName(name)}() {
  local word="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" _path='' next words='' i _choices='' _list='' before=''
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
    ${withValue.join('|')}) ((i++)); continue ;;
    -*) continue ;;
    esac
    next="\${_path:+$_path }\${COMP_WORDS[i]}"
    case "$next" in
    ${paths.join('|')}) _path="$next" ;;
    esac
  done
  case "$_path:$previous" in
${values.join('\n')}
  esac
  if [[ -n "$_choices" ]]; then
    if [[ -n "$_list" && "$word" == *,* ]]; then before="\${word%,*},"; fi
    COMPREPLY=($(compgen -P "$before" -W "$_choices" -- "\${word##*,}"))
    if [[ -z "$_list" ]]; then COMPREPLY=("\${COMPREPLY[@]/%/ }"); fi
    return
  fi
  case "$previous" in
    ${withValue.join('|')}) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case "$_path" in
${lists.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  # Otherwise a file, for the commands that read one.
  if [[ \${#COMPREPLY[@]} -eq 0 && "$word" != -* ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi
  COMPREPLY=("\${COMPREPLY[@]/%/ }")
}
complete -o nospace -F ${functionName(name)} ${name}
`
}

function functionName(program: string): string {
  return `_${program.replaceAll('-', '_')}`
}

function fishScript(name: string, nodes: readonly Node[]): string {
  const isAt = `_${functionName(name)}_at`
  const choose = `_${functionName(name)}_list`
  const all = nodes.flatMap(({ options }) => options)
  const withValue = [...new Set(all.filter(({ takesValue }) => takesValue).flatMap(({ words }) => words))]
  const paths = nodes.filter(({ path }) => path !== '').map(({ path }) => quoted(path))
  const lines = nodes.flatMap(({ commands, options, path }) => {
    const condition = quoted(`${isAt} ${path === '' ? '""' : `"${path}"`}`)
    return [
      ...commands.map(
        (command) =>
          `complete -c ${name} -f -n ${condition} -a ${command.name} -d ${quoted(command.description)}`,
      ),
      ...options.map(({ choices, description, isList, takesValue, words }) =>
        [
          `complete -c ${name}`,
          ...(path === '' ? [] : [`-n ${condition}`]),
          ...words.map((word) => (word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`)),
          ...(choices.length > 0
            ? [`-x -a ${quoted(isList ? `(${choose} ${choices.join(' ')})` : choices.join(' '))}`]
            : takesValue
              ? ['-r']
              : []),
          `-d ${quoted(description)}`,
        ].join(' '),
      ),
    ]
  })
  return `# Completion of ${name} for fish.
function ${isAt} --description 'Whether the words before the cursor are exactly this command'
  set -l path
  set -l skips 0
  for word in (commandline -opc)[2..-1]
    if test $skips = 1
      set skips 0
    else if contains -- $word ${withValue.join(' ')}
      set skips 1
    else if not string match -q -- '-*' $word
      set -l next (string join ' ' $path $word)
      if contains -- $next ${paths.join(' ')}
        set path $next
      end
    end
  end
  test "$path" = "$argv[1]"
end
function ${choose} --description 'The choices after the last comma'
  set -l before (string match -r -- '^.*,' (commandline -ct))
  printf "$before%s\\n" $argv
end
${lines.join('\n')}
`
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`
}
