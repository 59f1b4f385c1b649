import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyProductionPackages } from './production-packages.ts'
import { runCommand, type Exit } from './run-command.ts'
import { repository } from '../repository.ts'

const PACK_WITHIN_MS = 120_000
const INSTALL_WITHIN_MS = 60_000
/** Shorter than the test timeout, so that the failure names the program that hangs. */
const RUN_WITHIN_MS = 50_000

/** How long `installPackage` may take: `npm pack`, the copies, `npm install`. */
export const PACKAGE_WITHIN_MS = PACK_WITHIN_MS + 30_000 + INSTALL_WITHIN_MS

// npm contacts no registry here, because a test must not depend on how fast one responds. Notices are off, because they
// would mix with the output of our programs: since npm 12, npx prints the command that it runs.
const OFFLINE = {
  npm_config_loglevel: 'warn',
  npm_config_offline: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
}

/** This project as its users get it: the packed tarball, installed in an empty project. */
export type InstalledPackage = NpmProject & {
  /** The folder of the package itself. */
  readonly home: string
}

/** A project of a user, outside of this repository. */
export type NpmProject = {
  readonly folder: string
  run(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Exit>
  remove(): Promise<void>
}

export function projectIn(folder: string): NpmProject {
  return {
    folder,
    run: (command, args, env) =>
      runCommand(command, args, { cwd: folder, env: { ...OFFLINE, ...env }, timeoutMs: RUN_WITHIN_MS }),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

export async function installPackage(): Promise<InstalledPackage> {
  const folder = await mkdtemp(join(tmpdir(), 'test-package-'))
  const project = projectIn(folder)
  try {
    await npm(['pack', '--pack-destination', folder], repository, PACK_WITHIN_MS)
    const [tarball = ''] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'))
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }))
    await copyProductionPackages(folder)
    await npm(['install', `./${tarball}`], folder, INSTALL_WITHIN_MS)
  } catch (error) {
    await project.remove()
    throw error
  }
  return { ...project, home: join(folder, 'node_modules/iot-device-cache') }
}

/** This repository's compiler, for programs in the folder of another project. */
export const COMPILER = join(repository, 'node_modules/.bin/tsc')

export async function npm(args: readonly string[], cwd: string, timeoutMs: number): Promise<void> {
  const { code, stderr, stdout } = await runCommand('npm', args, { cwd, env: OFFLINE, timeoutMs })
  if (code !== 0) throw new Error(`\`npm ${args.join(' ')}\` ended with ${code}: ${stderr}${stdout}`)
}
