import { Argument } from 'commander'
import { examples, type Cli } from '../command.ts'
import { completionScript, SHELLS, type Shell } from '../completion.ts'

export function registerCompletionCommand({ program, perform }: Cli): void {
  program
    .command('completion')
    .description('print a script that completes commands and options with Tab')
    .addArgument(new Argument('<shell>', 'your shell').choices(SHELLS))
    .addHelpText(
      'after',
      examples(
        ['cache-cli completion bash > ~/.local/share/bash-completion/completions/cache-cli', 'bash'],
        ['cache-cli completion zsh > "${fpath[1]}/_cache-cli"', 'zsh, with a folder of yours in fpath'],
        ['cache-cli completion fish > ~/.config/fish/completions/cache-cli.fish', 'fish'],
      ),
    )
    .action((shell: Shell) => perform((session) => session.output.text(completionScript(shell, program))))
}
