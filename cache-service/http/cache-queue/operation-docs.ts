import type { OperationDocs } from '../openapi/operation-docs.ts'

const health = { service: 'redis_service', status: 'healthy', port: 5011, redis: 'connected' }
const keyErrors = ['empty_key', 'long_key', 'protected_key']
const patternErrors = ['empty_pattern', 'long_pattern', 'many_stars']

export const CACHE_QUEUE_DOCS: Readonly<Record<string, OperationDocs>> = {
  getCacheQueueHealth: {
    description: 'Reads a key of Redis; of a Redis Cluster, one of each master, until one of them answers.',
    replies: {
      200: { description: 'Redis answers.', example: health },
      503: {
        description: 'Redis does not answer, or refuses to read.',
        example: { ...health, status: 'unhealthy', redis: 'disconnected' },
      },
    },
  },
  getRedisStats: {
    description: 'From `INFO` and `DBSIZE`.',
    replies: {
      200: {
        description: 'Statistics of the Redis server.',
        example: {
          redis_version: '7.4.1',
          uptime_in_seconds: 86_400,
          connected_clients: 12,
          used_memory: 104_857_600,
          used_memory_human: '100.00M',
          total_commands_processed: 1_200_345,
          keyspace_hits: 9_500,
          keyspace_misses: 500,
          hit_rate: 95,
          total_keys: 51_240,
        },
      },
    },
  },
  storeCacheValue: {
    description:
      'Replaces the value of the key. Without `ttl`, `CACHE_DEFAULT_TTL` applies; with `null` the value never expires.',
    body: { key: 'user:1', value: { name: 'Ana' }, ttl: 60 },
    replies: {
      200: {
        description: 'Stored. `ttl` is the one that applies.',
        example: { message: 'Valor guardado en cache', key: 'user:1', ttl: 60 },
      },
    },
    errors: ['no_key', 'no_value', 'small_ttl', ...keyErrors],
  },
  cacheKeyExists: {
    description: 'Also true for keys of other Redis types.',
    parameters: { key: 'user:1' },
    replies: {
      200: { description: 'Whether the key exists.', example: { key: 'user:1', exists: true } },
    },
    errors: keyErrors,
  },
  getCacheValue: {
    description:
      'A stored text that is JSON is returned as it is, with all digits of its numbers; any other text as a string.',
    parameters: { key: 'user:1' },
    replies: {
      200: { description: 'The value.', example: { key: 'user:1', value: { name: 'Ana' }, ttl: 42 } },
    },
    errors: [...keyErrors, 'absent_key', 'other_type'],
  },
  deleteCacheValue: {
    description: 'Deletes the key, whatever its type.',
    parameters: { key: 'user:1' },
    replies: {
      200: { description: 'Deleted.', example: { message: 'Clave eliminada', key: 'user:1' } },
    },
    errors: [...keyErrors, 'absent_key'],
  },
  listCacheKeys: {
    description: 'Scans all keys: slow on a large Redis. `truncated` is present if there are more.',
    parameters: { pattern: 'user:*' },
    replies: {
      200: {
        description: 'Up to 10,000 keys, without those of the platform.',
        example: { pattern: 'user:*', count: 2, keys: ['user:1', 'user:2'] },
      },
    },
    errors: patternErrors,
  },
  flushCache: {
    description:
      'Deletes every key that is neither protected nor one of the platform. `FLUSHDB` is never sent.',
    body: { confirm: true },
    replies: {
      200: { description: 'Deleted.', example: { message: 'Cache limpiado', deleted_count: 42 } },
    },
    errors: ['unconfirmed'],
  },
  deleteCacheValues: {
    description: 'Scans all keys: slow on a large Redis.',
    parameters: { pattern: 'user:*' },
    replies: {
      200: {
        description: 'Deleted.',
        example: { message: 'Claves eliminadas', pattern: 'user:*', deleted_count: 2 },
      },
    },
    errors: patternErrors,
  },
  publishMessage: {
    description: 'Without `channel`, the message goes to `QUEUE_CHANNEL`.',
    body: { channel: 'inventarios_updates', message: { tipo: 'alta' } },
    replies: {
      200: {
        description: 'Published, also if no one subscribes.',
        example: { message: 'Mensaje publicado', channel: 'inventarios_updates', subscribers: 1 },
      },
    },
    errors: ['no_message', 'empty_channel', 'protected_channel'],
  },
  listChannels: {
    description: 'Channels with at least one subscriber; those that follow a pattern do not count.',
    parameters: { pattern: 'inventarios*' },
    replies: {
      200: {
        description: 'Up to 10,000 channels.',
        example: {
          pattern: 'inventarios*',
          count: 1,
          channels: [{ channel: 'inventarios_updates', subscribers: 1 }],
        },
      },
    },
    errors: patternErrors,
  },
  countSubscribers: {
    description: 'Subscribers that follow a pattern do not count.',
    parameters: { channel: 'inventarios_updates' },
    replies: {
      200: {
        description: 'The number of subscribers.',
        example: { channel: 'inventarios_updates', subscribers: 1 },
      },
    },
    errors: ['empty_key', 'long_key'],
  },
}
