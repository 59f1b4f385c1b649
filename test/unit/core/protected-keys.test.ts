import { describe, expect, test } from 'vitest'
import { isProtectedKey } from '../../../cache-service/core/protected-keys.ts'

describe('a key', () => {
  test.for(['devices', 'device:sensor-1:metadata', 'device:', 'cache_service:progress:g', 'cache_service:'])(
    'is protected if it belongs to the platform: %s',
    (key) => {
      expect(isProtectedKey(key, [])).toBe(true)
    },
  )

  test.for(['devices2', 'devices:all', 'Devices', 'device', 'my:device:1', 'cache_service', ' devices'])(
    'is not protected if it merely resembles a platform key: %s',
    (key) => {
      expect(isProtectedKey(key, [])).toBe(false)
    },
  )

  test('is protected if it has a prefix that the operator protects', () => {
    expect(isProtectedKey('session:1', ['config:', 'session:'])).toBe(true)
    expect(isProtectedKey('sessions', ['config:', 'session:'])).toBe(false)
  })
})
