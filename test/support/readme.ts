import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { withConfigTables } from '../../cache-service/config/docs.ts'

export const readmePath = join(import.meta.dirname, '../../README.md')

/** README.md as it would be with the configuration tables written anew. */
export async function renderReadme(): Promise<string> {
  const style = await resolveConfig(readmePath)
  return format(withConfigTables(readFileSync(readmePath, 'utf8')), { ...style, filepath: readmePath })
}
