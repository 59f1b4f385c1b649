import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { z } from 'zod'

const manifestSchema = z.object({ version: z.string() })

/** The version of this release. Works in a checkout, the image and the npm package, whose folders differ. */
export function readPackageVersion(): string {
  const path = findPackageJSON(import.meta.url)
  return path === undefined ? 'unknown' : manifestSchema.parse(JSON.parse(readFileSync(path, 'utf8'))).version
}
