import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

const REPOSITORY = join(import.meta.dirname, '../../..')
const PACK_WITHIN_MS = 120_000

export type Exit = { readonly code: number; readonly stdout: string; readonly stderr: string }

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
  const run: InstalledPackage['run'] = (command, args, env) => runIn(folder, command, args, env)
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    await succeed(runIn(REPOSITORY, 'npm', ['pack', '--pack-destination', folder]))
    const [tarball = ''] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'))
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }))
    await succeed(run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`]))
    // As a project in TypeScript has them; these are ours.
    await mkdir(join(folder, 'node_modules/@types'), { recursive: true })
    await symlink(
      join(REPOSITORY, 'node_modules/@types/node'),
      join(folder, 'node_modules/@types/node'),
    ).catch(ignoreExisting)
    return { folder, home: join(folder, 'node_modules/iot-device-cache'), run, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Of this repository, in a folder of another project. */
export const COMPILER = join(REPOSITORY, 'node_modules/.bin/tsc')

function runIn(
  cwd: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Exit> {
  const path = [dirname(process.execPath), process.env['PATH']].join(delimiter)
  const options = {
    cwd,
    timeout: PACK_WITHIN_MS,
    maxBuffer: 16 * 1024 * 1024,
    env: { PATH: path, HOME: process.env['HOME'], ...env },
  }
  return new Promise((resolve, reject) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      if (!error) resolve({ code: 0, stdout, stderr })
      else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr })
      else reject(error)
    })
  })
}

async function succeed(running: Promise<Exit>): Promise<void> {
  const { code, stderr, stdout } = await running
  if (code !== 0) throw new Error(`exit ${code}: ${stderr}${stdout}`)
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
}
