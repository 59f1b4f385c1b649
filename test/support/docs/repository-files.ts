import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../repository.ts'

/** The paths of all files that git knows, and of new ones that it does not ignore. */
export function repositoryFiles(): readonly string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const { error, status, stderr, stdout } = spawnSync('git', args, { cwd: repository, encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`git ls-files ended with ${status}: ${stderr}`)
  return stdout.split('\0').filter((path) => path !== '' && existsSync(join(repository, path)))
}

export function readText(path: string): string {
  return readFileSync(join(repository, path), 'utf8')
}
