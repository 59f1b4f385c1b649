import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../repository.ts'

// What all roles have in common when a test runs them as real processes.

/** The Node flags of `npm start` in a checkout. */
export function startFlags(folder: string = repository): string[] {
  const { scripts }: { scripts: { start: string } } = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  )
  return scripts.start.split(' ').filter((word) => word.startsWith('--'))
}

/** Of the output of one process; the end is kept. */
export const MAX_KEPT_OUTPUT_BYTES = 4 * 1024 * 1024
const STOP_WITHIN_MS = 30_000

/** Sends SIGTERM and waits for `exit`. Sends SIGKILL after 30 s. */
export async function stopProcess<Exit>(child: ChildProcess, exit: Promise<Exit>): Promise<Exit> {
  child.kill('SIGTERM')
  const overdue = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
  const outcome = await exit
  clearTimeout(overdue)
  return outcome
}
