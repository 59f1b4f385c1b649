import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyProductionPackages } from './production-packages.ts'
import { runCommand, type Exit } from './run-command.ts'

const REPOSITORY = join(import.meta.dirname, '../../..')

const PACK_WITHIN_MS = 120_000
const INSTALL_WITHIN_MS = 60_000
/** A little less than a test may take, so that a program that hangs is named. */
const RUN_WITHIN_MS = 50_000

/** How long `installPackage` may take: `npm pack`, the copies, `npm install`. */
export const PACKAGE_WITHIN_MS = PACK_WITHIN_MS + 30_000 + INSTALL_WITHIN_MS

// npm asks no registry for anything here: a test must not depend on how soon one answers. Nor does it write notices
// among what our programs write: from npm 12 on, npx names the command that it runs.
const OFFLINE = {
  npm_config_loglevel: 'warn',
  npm_config_offline: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
}

/** This project as others get it: the packed tarball, installed in an empty one. */
export type InstalledPackage = {
  readonly folder: string
  /** Where the package itself is. */
  readonly home: string
  run(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Exit>
  remove(): Promise<void>
}

export async function installPackage(): Promise<InstalledPackage> {
  const folder = await mkdtemp(join(tmpdir(), 'test-package-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    await npm(['pack', '--pack-destination', folder], REPOSITORY, PACK_WITHIN_MS)
    const [tarball = ''] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'))
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }))
    await copyProductionPackages(folder)
    await npm(['install', `./${tarball}`], folder, INSTALL_WITHIN_MS)
    // As a project in TypeScript has them; these are ours.
    await mkdir(join(folder, 'node_modules/@types'), { recursive: true })
    await symlink(
      join(REPOSITORY, 'node_modules/@types/node'),
      join(folder, 'node_modules/@types/node'),
    ).catch(ignoreExisting)
  } catch (error) {
    await remove()
    throw error
  }
  return {
    folder,
    home: join(folder, 'node_modules/iot-device-cache'),
    run: (command, args, env) =>
      runCommand(command, args, { cwd: folder, env: { ...OFFLINE, ...env }, timeoutMs: RUN_WITHIN_MS }),
    remove,
  }
}

/** Of this repository, in a folder of another project. */
export const COMPILER = join(REPOSITORY, 'node_modules/.bin/tsc')

async function npm(args: readonly string[], cwd: string, timeoutMs: number): Promise<void> {
  const { code, stderr, stdout } = await runCommand('npm', args, { cwd, env: OFFLINE, timeoutMs })
  if (code !== 0) throw new Error(`\`npm ${args.join(' ')}\` ended with ${code}: ${stderr}${stdout}`)
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
}
