import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../repository.ts'

const documentPath = join(repository, 'docs/configuration.md')

/** The ACL rules that docs/configuration.md gives the Redis user of a role. */
export function redisAclOf(user: string): string {
  const command = new RegExp(`^ACL SETUSER ${user} on >password (.+\\n(?:  .+\\n)*)`, 'm')
  const rules = command.exec(readFileSync(documentPath, 'utf8'))?.[1]
  if (rules === undefined) throw new Error(`docs/configuration.md has no ACL SETUSER ${user}`)
  return rules.replaceAll(/\s+/g, ' ').trim()
}
