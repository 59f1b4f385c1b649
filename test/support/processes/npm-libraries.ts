import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { repository } from '../repository.ts'
import { npm, projectIn, type NpmProject } from './npm-package.ts'
import { runCommand } from './run-command.ts'

const BUILD_WITHIN_MS = 60_000
const PACK_WITHIN_MS = 30_000
const INSTALL_WITHIN_MS = 60_000

/** How long `packLibraries` and one `installLibraries` may take together. */
export const LIBRARIES_WITHIN_MS = BUILD_WITHIN_MS + 2 * PACK_WITHIN_MS + INSTALL_WITHIN_MS

/** The tarballs of deploy/libraries.ts, by the name of the package. */
export type PackedLibraries = { readonly tarballs: ReadonlyMap<string, string>; remove(): Promise<void> }

/** Builds and packs all libraries, beside dist/, which another test may be building. */
export async function packLibraries(): Promise<PackedLibraries> {
  const folder = await mkdtemp(join(tmpdir(), 'test-libraries-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    const build = [join(repository, 'deploy/build-libraries.ts'), folder]
    const { code, stderr, stdout } = await runCommand('node', build, {
      cwd: repository,
      timeoutMs: BUILD_WITHIN_MS,
    })
    if (code !== 0) throw new Error(`the build of the libraries failed: ${stdout}${stderr}`)
    const tarballs = new Map<string, string>()
    for (const name of await readdir(folder)) {
      const into = join(folder, name)
      await npm(['pack', '--pack-destination', into], into, PACK_WITHIN_MS)
      const [tarball = ''] = (await readdir(into)).filter((file) => file.endsWith('.tgz'))
      tarballs.set(name, join(into, tarball))
    }
    return { tarballs, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/**
 * Installs tarballs in an empty project, without a registry.
 *
 * @param packages name → the package in the node_modules of this repository that is there already, with all that it depends
 * on; a different name is another version, such as `zod: 'zod-oldest'`.
 */
export async function installLibraries(
  tarballs: readonly string[],
  packages: Readonly<Record<string, string>>,
): Promise<NpmProject> {
  const folder = await mkdtemp(join(tmpdir(), 'test-project-'))
  const project = projectIn(folder)
  try {
    const dependencies: Record<string, string> = {}
    for (const [name, from] of Object.entries(packages))
      dependencies[name] = await copyPackage(from, folder, name)
    await writeFile(
      join(folder, 'package.json'),
      JSON.stringify({ type: 'module', private: true, dependencies }),
    )
    await npm(['install', ...tarballs], folder, INSTALL_WITHIN_MS)
    return project
  } catch (error) {
    await project.remove()
    throw error
  }
}

const manifest = z.object({ version: z.string(), dependencies: z.record(z.string(), z.string()).default({}) })

/** Copies a package and all that it depends on. Resolves with its version. */
async function copyPackage(from: string, folder: string, name = from): Promise<string> {
  const source = join(repository, 'node_modules', from)
  const { dependencies, version } = manifest.parse(
    JSON.parse(await readFile(join(source, 'package.json'), 'utf8')),
  )
  await cp(source, join(folder, 'node_modules', name), { recursive: true })
  for (const dependency of Object.keys(dependencies)) await copyPackage(dependency, folder)
  return version
}
