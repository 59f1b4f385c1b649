import { describe, expect, test } from 'vitest'
import { neededCommands } from '../../../cache-service/redis/needed-commands.ts'
import { redisAclOf } from '../../support/docs/redis-acl.ts'

/** Not checked: no connection can be made without these, or the role works without them. */
const NOT_ASKED_FOR = new Set(['client|setname', 'select', 'unsubscribe'])

describe.each(['single', 'cluster'] as const)('on a %s server, the doctor checks', (server) => {
  test.each([
    ['worker', 'worker'],
    ['api', 'api'],
    ['kv-updater', 'kv_updater'],
    ['lag-monitor', 'lag_monitor'],
  ] as const)('every command that docs/configuration.md grants the %s', (role, user) => {
    const settings = { updateChannel: 'update', waitReplicas: 0, canaryDeviceId: undefined }
    const commands = neededCommands(role, 'id', { ...settings, isCluster: server === 'cluster' })
    const asked = new Set(commands.map(({ name }) => name))
    const granted = [...redisAclOf(user, server).matchAll(/\+(\S+)/g)].map(([, name = '']) => name)
    expect(granted.filter((name) => !asked.has(name) && !NOT_ASKED_FOR.has(name))).toEqual([])
  })
})
