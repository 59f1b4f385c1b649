import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../repository.ts'

export type KafkaPermission = {
  readonly resource: 'topic' | 'group'
  /** The option that holds the name of the topic or group. */
  readonly option: string
  readonly operation: string
}

/** The permissions that docs/configuration.md calls needed for the worker. */
export function neededKafkaPermissions(): KafkaPermission[] {
  const page = readFileSync(join(repository, 'docs/configuration.md'), 'utf8')
  const section = /^## Kafka permissions$.*?^## /ms.exec(page)?.[0] ?? ''
  const rows = section.matchAll(/^\| (topic|group) `(\w+)` +\| `(\w+)` +\| the worker/gm)
  const permissions = [...rows].map(([, resource, option = '', operation = '']): KafkaPermission => {
    return { resource: resource === 'group' ? 'group' : 'topic', option, operation }
  })
  if (permissions.length === 0) throw new Error('docs/configuration.md has no table of Kafka permissions')
  return permissions
}
