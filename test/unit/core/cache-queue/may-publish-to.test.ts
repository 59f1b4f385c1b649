import { describe, expect, test } from 'vitest'
import { mayPublishTo } from '../../../../cache-service/core/cache-queue/may-publish-to.ts'

describe('a channel', () => {
  test.for([
    'update',
    'inventarios_updates',
    'keyspace',
    'my:__keyspace',
    'cache_service',
    'a__sentinel__:hello',
    '__sentinel__',
    '__init__',
  ])('can be published to if it is %s', (name) => {
    expect(mayPublishTo(name)).toBe(true)
  })

  test.for([
    '__keyspace@0__:devices',
    '__keyevent@0__:del',
    '__key',
    '__sentinel__:hello',
    '__redis__:invalidate',
    '__a\n__:b',
    '__anything_new@0__:',
    'cache_service:anything',
  ])('cannot be published to if it is %s', (name) => {
    expect(mayPublishTo(name)).toBe(false)
  })
})
