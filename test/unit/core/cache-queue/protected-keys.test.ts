import { describe, expect, test } from 'vitest'
import { isProtectedKey, mayPublishTo } from '../../../../cache-service/core/cache-queue/protected-keys.ts'

describe('a key is protected', () => {
  test.for(['devices', 'device:sensor-1:metadata', 'device:', 'cache_service:progress:g', 'cache_service:'])(
    'if it is the platform’s: %s',
    (key) => {
      expect(isProtectedKey(key, [])).toBe(true)
    },
  )

  test.for(['devices2', 'devices:all', 'Devices', 'device', 'my:device:1', 'cache_service', ' devices'])(
    'but not if it merely resembles one: %s',
    (key) => {
      expect(isProtectedKey(key, [])).toBe(false)
    },
  )

  test('if it begins with a prefix that the operator protects', () => {
    expect(isProtectedKey('session:1', ['config:', 'session:'])).toBe(true)
    expect(isProtectedKey('sessions', ['config:', 'session:'])).toBe(false)
  })
})

describe('a channel may be published to', () => {
  test.for(['update', 'inventarios_updates', 'keyspace', 'my:__keyspace', 'cache_service'])(
    'if it is %s',
    (name) => {
      expect(mayPublishTo(name)).toBe(true)
    },
  )

  test.for(['__keyspace@0__:devices', '__keyevent@0__:del', '__key', 'cache_service:anything'])(
    'but not if it is %s',
    (name) => {
      expect(mayPublishTo(name)).toBe(false)
    },
  )
})
