import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../repository.ts'
import { runCommand } from './run-command.ts'
import { programAt, type ServiceProgram } from './service-process.ts'

/** The last commit of 0.1.0. Its worker needs packages of the same versions as the present one. */
const COMMIT = '435edc10c7a1c46cd850743ea4a3f69a6d8c9a9f'

/** The service as it was first released, from the history of this repository. */
export async function openFirstRelease(): Promise<ServiceProgram> {
  const folder = join(repository, '.cache', 'releases', COMMIT)
  if (!existsSync(folder)) {
    const unfinished = `${folder}.${process.pid}`
    mkdirSync(unfinished, { recursive: true })
    const archive = `git archive ${COMMIT} cache-service shared package.json | tar -x -C '${unfinished}'`
    const { code, stderr } = await runCommand('/bin/bash', ['-o', 'pipefail', '-c', archive], {
      cwd: repository,
      timeoutMs: 60_000,
    })
    if (code !== 0) {
      rmSync(unfinished, { recursive: true })
      throw new Error(
        `the first release is not in the history of this clone (git fetch --unshallow): ${stderr}`,
      )
    }
    symlinkSync(join(repository, 'node_modules'), join(unfinished, 'node_modules'))
    renameSync(unfinished, folder)
  }
  return programAt(folder)
}
