import { spawn } from 'node:child_process'
import { delimiter, dirname } from 'node:path'

export type Exit = { readonly code: number; readonly stdout: string; readonly stderr: string }

export type CommandOptions = {
  readonly cwd: string
  /** Added to PATH (in which the Node.js of this test comes first) and HOME, which are all it inherits. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly timeoutMs: number
}

/**
 * Runs a command until it ends, whatever its exit code. Rejects if it can't be started, is ended by a signal, or
 * has not ended in time (then it is killed with all its children); the error shows the output so far.
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  { cwd, env = {}, timeoutMs }: CommandOptions,
): Promise<Exit> {
  const child = spawn(command, args, {
    cwd,
    env: {
      PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
      HOME: process.env['HOME'],
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // the leader of a process group, so that npm's own children can be killed too
  })
  const killAll = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // All of them have ended.
    }
  }
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  let isOverdue = false
  const overdue = setTimeout(() => {
    isOverdue = true
    killAll()
  }, timeoutMs)
  process.once('exit', killAll)
  try {
    const {
      promise: ended,
      resolve,
      reject,
    } = Promise.withResolvers<readonly [number | null, string | null]>()
    child.once('error', reject)
    child.once('close', (...outcome) => resolve(outcome))
    const [code, signal] = await ended
    const output = `${stdout}${stderr}`.trim() || 'no output'
    const line = [command, ...args].join(' ')
    if (isOverdue) throw new Error(`\`${line}\` did not end within ${timeoutMs / 1000} s: ${output}`)
    if (code === null) throw new Error(`\`${line}\` was ended by ${signal}: ${output}`)
    return { code, stdout, stderr }
  } finally {
    clearTimeout(overdue)
    process.off('exit', killAll)
  }
}
