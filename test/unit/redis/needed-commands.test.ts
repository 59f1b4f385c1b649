import { expect, test } from 'vitest'
import { neededCommands } from '../../../cache-service/redis/needed-commands.ts'
import { redisAclOf } from '../../support/docs/redis-acl.ts'

/** Not checked: no connection can be made without these, or the role works without them. */
const NOT_ASKED_FOR = new Set(['client|setname', 'select', 'unsubscribe'])

test.each([
  ['worker', 'worker'],
  ['api', 'api'],
  ['kv-updater', 'kv_updater'],
  ['lag-monitor', 'lag_monitor'],
] as const)('the doctor checks every command that docs/configuration.md grants the %s', (role, user) => {
  const asked = new Set(
    neededCommands(role, 'id', { updateChannel: 'update', waitReplicas: 0, canaryDeviceId: undefined }).map(
      ({ name }) => name,
    ),
  )
  const granted = [...redisAclOf(user).matchAll(/\+(\S+)/g)].map(([, name = '']) => name)
  expect(granted.filter((name) => !asked.has(name) && !NOT_ASKED_FOR.has(name))).toEqual([])
})
