import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig, type OxlintOverride } from 'oxlint'

// The layers: what each folder of cache-service/ may import from the others (itself and shared/ always):
//
//   shared <- core <- telemetry <- {kafka, redis, http} <- pipeline <- {cli, roles} <- main
//
// lifecycle depends only on shared and serves all. kafka, redis and http never import each other. core is pure:
// no I/O, no clock, no random numbers. Within the layers: commands do not import each other; the cache-queue service
// is imported only by roles and by its own folder in each layer. shared runs in browsers, except for shared/pem.ts
// and shared/redis-library, which cache-service does not use. test/unit/layers.test.ts proves that each of these rules fires.
const edges = ['core', 'lifecycle', 'telemetry']
const everyEdge = [...edges, 'kafka', 'redis', 'http']
export const layers: Readonly<Record<string, { imports: string[]; config: 'type' | 'value' | 'never' }>> = {
  core: { imports: [], config: 'never' },
  lifecycle: { imports: [], config: 'never' },
  telemetry: { imports: ['core', 'lifecycle'], config: 'type' },
  kafka: { imports: edges, config: 'type' },
  redis: { imports: edges, config: 'type' },
  http: { imports: edges, config: 'type' },
  pipeline: { imports: everyEdge, config: 'type' },
  roles: { imports: [...everyEdge, 'pipeline'], config: 'value' },
  cli: { imports: [...everyEdge, 'pipeline'], config: 'value' },
}

// Only one folder may import each of these libraries, so that the library can be replaced.
const libraries: Readonly<Record<string, string[]>> = {
  kafka: ['kafkajs', 'snappy', 'lz4-napi'],
  redis: ['ioredis', 'ioredis/**'],
  http: ['fastify', '@fastify/**'],
}

const pureLibraries = ['zod', 'uuid']
const pureShared = ['contract/**', 'backoff.ts', 'errors.ts', 'exact-json.ts', 'json.ts']
const impureGlobals = [
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'],
  ...['fetch', 'performance', 'crypto', 'console'],
]

const layersMessage = 'the layers at the head of oxlint.config.ts do not allow this import'
const pureMessage = 'core is pure: pass it in as an argument'
const processMessage = 'only the main files use process'
const mains = [
  'cache-service/bin.ts',
  'cache-service/main.ts',
  'cache-service/cli/bin.ts',
  'cache-service/cli/main.ts',
]

type Restriction = { group: string[]; message: string; allowTypeImports?: boolean }

const isFolderOf = (name: string) => `**/${name}/**`

// Listed by name: a pattern that exempts config.ts would exempt it from every other pattern, too.
const insidesOfConfig = readdirSync(join(import.meta.dirname, 'cache-service', 'config'))
  .filter((file) => file !== 'config.ts')
  .map((file) => `**/config/${file}`)

function restrictImports(files: string[], ...patterns: Restriction[]): OxlintOverride {
  return { files, rules: { 'no-restricted-imports': ['error', { patterns }] } }
}

/**
 * What the files of a layer must not import: layers that are not allowed, libraries of another folder, the internals of
 * the configuration, the Redis library, and the cache-queue service in another layer.
 */
function forbidden(own: string, allowedFolders: readonly string[], room?: 'cache-queue'): Restriction {
  const otherLayers = Object.keys(layers).filter((name) => name !== own)
  const folders = otherLayers.filter((name) => !allowedFolders.includes(name))
  const knowsCacheQueue = own === 'roles' || room === 'cache-queue'
  const cacheQueues = knowsCacheQueue ? [] : otherLayers.map((name) => `**/${name}/cache-queue/**`)
  const others = Object.entries(libraries).filter(([owner]) => owner !== own)
  const insides = own === 'config' ? [] : insidesOfConfig
  const process = own === 'main' ? [] : ['node:process']
  return {
    group: [
      ...folders.map(isFolderOf),
      ...cacheQueues,
      '**/main.ts',
      '**/redis-library/**',
      ...insides,
      ...process,
      ...others.flatMap(([, names]) => names),
    ],
    message: layersMessage,
  }
}

function forbiddenConfig(config: 'type' | 'value' | 'never'): Restriction[] {
  if (config === 'value') return []
  const message = 'only roles, cli and main read the configuration: pass the values in'
  return [{ group: ['**/config.ts'], message, allowTypeImports: config === 'type' }]
}

function pureImports(folders: readonly string[], shared: string): Restriction {
  return {
    group: [
      '**',
      ...folders,
      ...pureShared.map((name) => `!${shared}/${name}`),
      ...pureLibraries.map((name) => `!${name}`),
    ],
    message: `core is pure: it imports only core, the pure files of shared, ${pureLibraries.join(' and ')}`,
  }
}

function restrictGlobals(files: string[], excludeFiles: string[], names: Record<string, string>) {
  const globals = Object.entries(names).map(([name, message]) => ({ name, message }))
  return {
    files,
    excludeFiles,
    rules: {
      'no-restricted-globals': ['error', { globals, checkGlobalObject: true, globalObjects: ['global'] }],
    },
  } satisfies OxlintOverride
}

const layerOverrides = Object.entries(layers).flatMap(([name, { imports, config }]) => [
  restrictImports([`cache-service/${name}/**`], forbidden(name, imports), ...forbiddenConfig(config)),
  restrictImports(
    [`cache-service/${name}/cache-queue/**`],
    forbidden(name, imports, 'cache-queue'),
    ...forbiddenConfig(config),
  ),
])

const commandsFolder = join(import.meta.dirname, 'cache-service', 'cli', 'commands')
const commandGroups = readdirSync(commandsFolder, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
)

/** The files in a folder of commands that register a command; the others are shared by commands. */
function commandsIn(folder: string): string[] {
  const path = join(commandsFolder, folder)
  return readdirSync(path).filter(
    (file) =>
      file.endsWith('.ts') && readFileSync(join(path, file), 'utf8').includes('export function register'),
  )
}

/**
 * Commands don't import each other: code that two of them need is in a file beside them. Only the file of a group
 * imports the group's commands.
 */
const commandOverrides = ['', ...commandGroups].flatMap((group) => {
  const folder = `cache-service/cli/commands/${group}`
  const up = group === '' ? './' : '../'
  const others = [
    ...commandsIn('').map((file) => `${up}${file}`),
    ...commandGroups.filter((name) => name !== group).map((name) => `${up}${name}/**`),
  ]
  const restrict = (files: string[], names: string[]) =>
    restrictImports(files, forbidden('cli', layers['cli']?.imports ?? []), {
      group: names,
      message: 'commands do not import each other',
    })
  return group === ''
    ? [restrict([`${folder}*.ts`], others)]
    : [
        restrict([`${folder}/**`], [...others, ...commandsIn(group).map((file) => `./${file}`)]),
        restrict([`${folder}/${group}.ts`], others),
      ]
})

const forbiddenInShared = [
  forbidden('redis', []),
  { group: ['**/cache-service/**', 'cache-service/**'], message: layersMessage },
]
const forbiddenInBrowsers = {
  group: ['node:*', 'ioredis', 'ioredis/**', '**/pem.ts'],
  message: 'these files of shared also run in browsers',
}

// If several overrides set the same rule for a file, only the last one applies.
const overrides: OxlintOverride[] = [
  { files: ['cache-service/**', 'shared/**'], rules: { 'no-console': 'error' } },
  restrictGlobals(['cache-service/**', 'shared/**'], mains, { process: processMessage }),
  restrictImports(['shared/*'], ...forbiddenInShared, forbiddenInBrowsers),
  restrictImports(['shared/pem.ts'], ...forbiddenInShared),
  restrictImports(['shared/client/**'], ...forbiddenInShared, forbiddenInBrowsers),
  restrictImports(['shared/contract/**'], ...forbiddenInShared, forbiddenInBrowsers, {
    group: ['**/client/**'],
    message: 'the contract depends on neither the server nor the client',
  }),
  // What the service and the Redis library do with ioredis.
  restrictImports(['shared/redis-client/**'], ...forbiddenInShared, {
    group: ['**/client/**', '**/redis-library/**'],
    message: 'it depends on neither library',
  }),
  restrictImports(['shared/redis-library/**'], ...forbiddenInShared, {
    group: ['**/client/**'],
    message: 'the Redis library and the API client are separate products',
  }),
  restrictImports(['cache-service/config/**'], forbidden('config', []), {
    group: ['**/config.ts'],
    message: 'config.ts is the entry point: the other files of the folder do not import it',
  }),
  restrictImports(['cache-service/config/config.ts'], forbidden('config', [])),
  restrictImports(['cache-service/main.ts'], forbidden('main', Object.keys(layers))),
  ...layerOverrides,
  restrictImports(['cache-service/kafka/**'], forbidden('kafka', edges), ...forbiddenConfig('type'), {
    group: ['kafkajs'],
    message: 'only kafka/kafkajs.ts loads kafkajs',
    allowTypeImports: true,
  }),
  ...commandOverrides,
  restrictImports(['cache-service/core/*'], pureImports(['!./**'], '../../shared')),
  restrictImports(
    ['cache-service/core/*/**'],
    pureImports(['!./**', '!../**', '../../**'], '../../../shared'),
  ),
  restrictImports(['cache-service/page/**'], {
    group: ['**', '!./**'],
    message: 'the page runs in browsers: it imports only its own files and ./vendor/',
  }),
  restrictGlobals(['cache-service/core/**'], [], {
    process: processMessage,
    ...Object.fromEntries(impureGlobals.map((name) => [name, pureMessage])),
  }),
  {
    files: ['cache-service/core/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: pureMessage },
        { object: 'Math', property: 'random', message: pureMessage },
      ],
    },
  },
  {
    files: ['*.config.ts', 'test/support/servers/global-servers.ts', 'test/support/faults/fault-reporter.ts'],
    rules: { 'import/no-default-export': 'off' },
  },
  // An older Node.js parses these files.
  restrictImports(['cache-service/bin.ts', 'cache-service/cli/bin.ts'], {
    group: ['**', '!./main.ts'],
    message: 'bin.ts imports only main.ts',
  }),
]

export default defineConfig({
  plugins: ['typescript', 'unicorn', 'oxc', 'import', 'promise', 'vitest'],
  categories: { correctness: 'error', suspicious: 'error' },
  rules: {
    'typescript/no-explicit-any': 'error',
    'typescript/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
    'typescript/no-non-null-assertion': 'error',
    'typescript/no-require-imports': 'error',
    'import/no-cycle': 'error',
    'import/no-default-export': 'error',
    'import/no-duplicates': 'error',
    'unicorn/filename-case': ['error', { case: 'kebabCase' }],
    'unicorn/prefer-node-protocol': 'error',
    eqeqeq: 'error',
    'no-param-reassign': 'error',
    'no-throw-literal': 'error',
    'no-var': 'error',
    'prefer-const': 'error',
    'vitest/valid-expect': ['error', { maxArgs: 2 }],
    'vitest/no-standalone-expect': [
      'error',
      {
        additionalTestBlockFunctions: ['beforeAll', 'beforeEach', 'afterEach', 'afterAll', 'onTestFinished'],
      },
    ],

    'no-control-regex': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'unicorn/no-array-sort': 'off',
    // Groups of arguments read better as ...['--port', port], one per line.
    'unicorn/no-useless-spread': 'off',
    // Assertions are also made in properties, in tables and in `eventually`.
    'vitest/expect-expect': 'off',
    'vitest/no-conditional-expect': 'off',
    'vitest/require-to-throw-message': 'off',
  },
  ignorePatterns: ['dist/**', '.cache/**', 'coverage/**'],
  overrides,
})
