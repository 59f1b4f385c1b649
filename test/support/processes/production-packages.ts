import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, readlink, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

const REPOSITORY = join(import.meta.dirname, '../../..')

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

/** What `npm ci` has installed in `node_modules/` here, without what only development needs. */
export async function productionPackages(): Promise<readonly ProductionPackage[]> {
  const lock = lockFile.parse(JSON.parse(await readFile(join(REPOSITORY, 'package-lock.json'), 'utf8')))
  const packages: ProductionPackage[] = []
  for (const [path, { dev = false, optional = false, hasInstallScript = false }] of Object.entries(
    lock.packages,
  )) {
    // A nested package comes with the one that it is nested in.
    if (dev || !/^node_modules\/(@[^/]+\/)?[^/]+$/.test(path)) continue
    if (existsSync(join(REPOSITORY, path))) packages.push({ path, isOptional: optional, hasInstallScript })
    else if (!optional) throw new Error(`${path} is in package-lock.json and not installed: run \`npm ci\``)
  }
  return packages
}

/**
 * Fills the `node_modules/` of another project with them. npm keeps a package that it finds there if the version
 * fits and its programs are linked, and asks no registry for it; what the project does not depend on, it removes.
 */
export async function copyProductionPackages(folder: string): Promise<void> {
  for (const { path } of await productionPackages()) {
    await cp(join(REPOSITORY, path), join(folder, path), { recursive: true, verbatimSymlinks: true })
  }
  const from = join(REPOSITORY, 'node_modules/.bin')
  const to = join(folder, 'node_modules/.bin')
  await mkdir(to)
  for (const name of await readdir(from)) {
    const target = await readlink(join(from, name))
    if (existsSync(join(to, target))) await symlink(target, join(to, name))
  }
}
