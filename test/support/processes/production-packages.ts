import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, readlink, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { repository } from '../repository.ts'

const lockFile = z.object({
  packages: z.record(
    z.string(),
    z.looseObject({
      dev: z.boolean().optional(),
      optional: z.boolean().optional(),
      hasInstallScript: z.boolean().optional(),
    }),
  ),
})

export type ProductionPackage = {
  readonly path: string
  readonly isOptional: boolean
  readonly hasInstallScript: boolean
}

/** The packages that `npm ci` has installed in this `node_modules/`, without development dependencies. */
export async function productionPackages(): Promise<readonly ProductionPackage[]> {
  const lock = lockFile.parse(JSON.parse(await readFile(join(repository, 'package-lock.json'), 'utf8')))
  const packages: ProductionPackage[] = []
  for (const [path, { dev = false, optional = false, hasInstallScript = false }] of Object.entries(
    lock.packages,
  )) {
    // A nested package is copied with the one that contains it.
    if (dev || !/^node_modules\/(@[^/]+\/)?[^/]+$/.test(path)) continue
    if (existsSync(join(repository, path))) packages.push({ path, isOptional: optional, hasInstallScript })
    else if (!optional) throw new Error(`${path} is in package-lock.json and not installed: run \`npm ci\``)
  }
  return packages
}

/**
 * Copies them to the `node_modules/` of another project. npm keeps a package that it finds there if the version matches
 * and its programs are linked, without contacting a registry, and removes what the project does not depend on.
 */
export async function copyProductionPackages(folder: string): Promise<void> {
  for (const { path } of await productionPackages()) {
    await cp(join(repository, path), join(folder, path), { recursive: true, verbatimSymlinks: true })
  }
  const from = join(repository, 'node_modules/.bin')
  const to = join(folder, 'node_modules/.bin')
  await mkdir(to)
  for (const name of await readdir(from)) {
    const target = await readlink(join(from, name))
    if (existsSync(join(to, target))) await symlink(target, join(to, name))
  }
}
