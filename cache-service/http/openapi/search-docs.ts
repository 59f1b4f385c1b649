import { EXAMPLE_DEVICE, invalidPart } from './examples.ts'
import type { OperationDocs } from './operation-docs.ts'

const FACTS = { total: 1, as_of: '2026-11-21T09:29:25.000Z', truncated: false }
const invalidLimit = invalidPart('querystring', '/limit', 'must be a whole number from 1 to 1000')

/** Searches, and what the console asks about the caller and the Redis server. */
export const SEARCH_DOCS: Readonly<Record<string, OperationDocs>> = {
  searchDevices: {
    parameters: { contains: '282c', limit: 100 },
    replies: {
      200: {
        description: 'A page of the devices that match.',
        example: { ...FACTS, offset: 0, devices: [EXAMPLE_DEVICE], next_cursor: null },
      },
    },
    problems: invalidLimit,
  },
  countDeviceTypes: {
    description: 'Counts all devices by datatype, the most frequent first.',
    replies: {
      200: {
        description: 'The number of devices of each type.',
        example: {
          ...FACTS,
          types: [
            {
              datatype_id: EXAMPLE_DEVICE.datatype_id,
              datatype_name: 'door',
              datatype_unit: '["%"]',
              devices: 1,
            },
          ],
        },
      },
    },
  },
  exportDevices: {
    replies: {
      200: {
        description: 'One line per device.',
        example: 'device_id,datatype_name\r\n282c02014911,door\r\n',
      },
    },
    problems: invalidPart('querystring', '/silent_for', 'must be a whole number of seconds'),
  },
  getAccess: {
    description: 'For pages that do not offer what would be refused.',
    replies: {
      200: {
        description: 'What the caller may do.',
        example: { token: 'dashboard', scopes: ['read'], expires_at: '2027-01-01T00:00:00.000Z' },
      },
    },
  },
  getRedis: {
    description:
      'From `INFO`. A value is null if the server does not report it. Of a Redis Cluster: the sums of the masters that answer, or the worst of their values; `masters` names them.',
    replies: {
      200: {
        description: 'The state of the Redis server.',
        example: {
          product: 'redis',
          version: '7.4.1',
          mode: 'standalone',
          uptime_s: 86_400,
          role: 'master',
          connected_replicas: 0,
          memory: {
            used_bytes: 104_857_600,
            peak_bytes: 115_343_360,
            resident_bytes: 125_829_120,
            max_bytes: 1_073_741_824,
            eviction_policy: 'noeviction',
          },
          clients: { connected: 12, max: 10_000, blocked: 1, rejected_total: 0 },
          keys: { total: 51_240, expired_total: 300, evicted_total: 0 },
          lookups: { hits_total: 9_500, misses_total: 500, hit_rate: 0.95 },
          commands_per_second: 820,
          masters: null,
          persistence: {
            loading: false,
            append_only_file: true,
            append_only_file_ok: true,
            snapshot_ok: true,
            last_snapshot_at: '2026-11-21T09:20:00.000Z',
            changes_since_snapshot: 1_204,
          },
        },
      },
    },
  },
}
