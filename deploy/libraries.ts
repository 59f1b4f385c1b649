/**
 * The npm packages for other services, built from `shared/` beside the package of the service, so that a user of the client
 * does not install what only the service needs. All have the version of the service.
 */
export type Library = {
  readonly name: string
  readonly description: string
  /** Import path → module below `shared/`. */
  readonly exports: Readonly<Record<string, string>>
  /** The page that becomes the README of the package. */
  readonly readme: string
  /** Ranges of the packages that it imports. Both ends are tested: test/faults/libraries.test.ts. */
  readonly dependencies?: Readonly<Record<string, string>>
  /** A package whose types are part of ours: two versions of it in one program would not fit together. */
  readonly peerDependencies?: Readonly<
    Record<string, { readonly range: string; readonly isOptional: boolean }>
  >
  /** It imports nothing of Node.js. */
  readonly isForBrowsers: boolean
}

/** Codecs, which the Redis library uses, came with 4.1. */
const ZOD = '^4.1.0'

export const OLDEST_NODE = '20'

export const libraries: readonly Library[] = [
  {
    name: 'iot-device-cache-client',
    description:
      'Client of the device cache: the newest metadata of every IoT device, from services and browsers.',
    exports: {
      '.': 'client/client',
      './device-id': 'contract/device-id',
      './keys': 'contract/keys',
      './api-schemas': 'contract/api-schemas',
      './messages': 'contract/messages',
    },
    readme: 'docs/client.md',
    // Only the two modules with schemas need it.
    peerDependencies: { zod: { range: ZOD, isOptional: true } },
    isForBrowsers: true,
  },
  {
    name: 'iot-device-cache-redis',
    description: "Typed values and watched configurations in Redis, shared with Python's cledar.redis.",
    exports: { '.': 'redis-library/redis-library', './error-classes': 'error-classes' },
    readme: 'docs/redis-library.md',
    dependencies: { ioredis: '^6.0.0' },
    peerDependencies: { zod: { range: ZOD, isOptional: false } },
    isForBrowsers: false,
  },
]
