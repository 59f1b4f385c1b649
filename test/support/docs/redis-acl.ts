import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../repository.ts'

const documentPath = join(repository, 'docs/configuration.md')

/** The ACL rules that docs/configuration.md gives the Redis user of a role. */
export function redisAclOf(user: string, server: 'single' | 'cluster' = 'single'): string {
  const further = server === 'single' ? '' : clusterAclOf(user)
  const command = new RegExp(`^ACL SETUSER ${user} on >password (.+\\n(?:  .+\\n)*)`, 'm')
  const rules = command.exec(readFileSync(documentPath, 'utf8'))?.[1]
  if (rules === undefined) throw new Error(`docs/configuration.md has no ACL SETUSER ${user}`)
  return `${rules} ${further}`.replaceAll(/\s+/g, ' ').trim()
}

/** What docs/configuration.md gives it in addition, in a Redis Cluster. */
function clusterAclOf(user: string): string {
  const rules = new RegExp(`^ACL SETUSER ${user} (\\+cluster.+)$`, 'm').exec(
    readFileSync(documentPath, 'utf8'),
  )?.[1]
  if (rules === undefined) throw new Error(`docs/configuration.md has no ACL rules of ${user} for a Cluster`)
  return rules
}
