import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { OLDEST_NODE } from '../../../deploy/libraries.ts'
import { repository } from '../repository.ts'
import { runCommand } from './run-command.ts'

const LATEST_OF_OLDEST = `${OLDEST_NODE}.20.2`
const FETCH_WITHIN_MS = 300_000

/**
 * The path of the oldest Node.js that the libraries support: one in PATH, or else the npm package of its binary, which is
 * fetched once (`make test` does it first) and kept in .cache/.
 */
export async function findOldestNode(): Promise<string> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'node')
    if (!existsSync(path)) continue
    const found = await runCommand(path, ['--version'], { cwd: repository, timeoutMs: 10_000 })
    if (found.stdout.startsWith(`v${OLDEST_NODE}.`)) return path
  }
  // The names of these packages are those of the package `node`, which the project itself uses.
  const { arch, platform } = process
  const prefix = platform === 'darwin' && arch === 'arm64' ? 'node-bin' : 'node'
  const name = `${prefix}-${platform}-${arch}`
  const folder = join(repository, '.cache', `node-${LATEST_OF_OLDEST}`)
  const program = join(folder, 'node_modules', name, 'bin/node')
  if (existsSync(program)) return program
  const partial = `${folder}.partial-${process.pid}`
  mkdirSync(partial, { recursive: true })
  try {
    const args = [
      'install',
      '--prefix',
      partial,
      '--no-save',
      '--no-audit',
      '--no-fund',
      `${name}@${LATEST_OF_OLDEST}`,
    ]
    const { code, stderr } = await runCommand('npm', args, { cwd: partial, timeoutMs: FETCH_WITHIN_MS })
    if (code !== 0)
      throw new Error(`Node.js ${LATEST_OF_OLDEST} is not in PATH, and npm cannot fetch it: ${stderr}`)
    try {
      renameSync(partial, folder)
    } catch (error) {
      if (!existsSync(folder)) throw error // else another test was faster
    }
    return program
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}
