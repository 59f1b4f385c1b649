import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { CACHE_QUEUE_TAG } from '../cache-queue/cache-queue-ports.ts'

const INTRODUCTION = `
The newest metadata of every IoT device, the key-values that other services publish, and their changes as events.

**Access.** A token has one or more of the scopes \`read\`, \`write\` and \`admin\`; none of them includes another. Send it as
\`Authorization: Bearer <token>\`. \`cache-cli token create\` makes tokens. Where \`API_AUTH\` is \`off\`, no token is needed.

**Errors** are problem documents (RFC 9457, \`application/problem+json\`). Programs should switch on their \`type\`; titles and
details are for people. The cache-queue service has errors of its own: \`{"error": …}\`, in Spanish.

**Not filled yet is not unknown.** While the cache is rebuilt, a device that is missing is answered with 503
\`cache_rebuilding\`, never with 404, and a lookup says \`"complete": false\`.

**Limits.** A body has at most 256 KiB, a path segment 1024 characters. Above \`API_MAX_CONCURRENT_REQUESTS\` concurrent
requests, further ones are rejected immediately with 503 and \`Retry-After\`. If \`API_RATE_LIMIT_PER_MINUTE\` is set, answers
carry \`X-RateLimit-Limit\`, \`X-RateLimit-Remaining\` and \`X-RateLimit-Reset\`, and a caller beyond it is answered with 429.

**Numbers** in values and events keep their digits, also beyond 2^53. A parser that reads them as doubles rounds them.
`.trim()

/** The parts of the document that do not come from routes. */
type DocumentHead = NonNullable<FastifyDynamicSwaggerOptions['openapi']>

export function documentHead(facts: { version: string; needsTokens: boolean }): DocumentHead {
  const { needsTokens, version } = facts
  const access = needsTokens ? 'This API requires tokens.' : 'This API requires no tokens.'
  return {
    openapi: '3.1.0',
    info: {
      title: 'iot-device-cache',
      description: `${INTRODUCTION}\n\n${access}`,
      version,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    // Relative to /openapi.json, so that the path prefix of a reverse proxy is kept.
    servers: [{ url: '.', description: 'The API that serves this document.' }],
    tags: [
      { name: 'devices', description: 'The newest metadata of each device.' },
      { name: 'access', description: 'What the caller may do.' },
      { name: 'redis', description: 'The Redis server.' },
      { name: 'state', description: 'Key-values that the kv-updater keeps.' },
      { name: 'events', description: 'Changes of devices and key-values, as they happen.' },
      { name: 'workers', description: 'What the workers report.' },
      { name: 'health', description: 'Probes of this API process.' },
      {
        name: CACHE_QUEUE_TAG,
        description: [
          'The older cache-queue service of the platform. Its texts are in Spanish, its errors are `{"error": …}`,',
          'and each of its paths also exists with (or without) a trailing slash.',
        ].join(' '),
      },
    ],
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description:
            'Scopes: `read` for everything that changes nothing, `write` for changes of single values, `admin` for changes of many.',
        },
      },
    },
  }
}
