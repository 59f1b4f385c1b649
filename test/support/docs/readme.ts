import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { withConfigTables } from '../../../cache-service/config/docs.ts'

export const readmePath = join(import.meta.dirname, '../../../README.md')

/** README.md as it would be with the configuration tables written anew. */
export async function renderReadme(): Promise<string> {
  const style = await resolveConfig(readmePath)
  return format(withConfigTables(readFileSync(readmePath, 'utf8')), { ...style, filepath: readmePath })
}

/** What the README says that the Redis user of this role needs. */
export function redisAclOf(user: string): string {
  const command = new RegExp(`^ACL SETUSER ${user} on >password (.+\\n(?:  .+\\n)*)`, 'm')
  const rules = command.exec(readFileSync(readmePath, 'utf8'))?.[1]
  if (rules === undefined) throw new Error(`the README has no ACL SETUSER ${user}`)
  return rules.replaceAll(/\s+/g, ' ').trim()
}
