import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig, type OxlintOverride } from 'oxlint'

// The layers, as what each folder of cache-service/ may import of the others (itself and shared/ always):
//
//   shared <- core <- telemetry <- {kafka, redis, http} <- pipeline <- {cli, roles} <- main
//
// lifecycle depends on shared only and serves all. kafka, redis and http never import each other. core is pure:
// no I/O, no clock, no random. Inside the layers: commands do not import each other; the older HTTP service
// (`cache-queue`) is known to roles and to its own room in each layer. shared/client runs in browsers.
// test/unit/layers.test.ts proves that each of these rules fires.
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

// Each of these libraries is known to one folder, so that it can be replaced.
const libraries: Readonly<Record<string, string[]>> = {
  kafka: ['kafkajs', 'snappy', 'lz4-napi'],
  redis: ['ioredis', 'ioredis/**'],
  http: ['fastify', '@fastify/**'],
}

const pureLibraries = ['zod', 'uuid']
const impureGlobals = [
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'],
  ...['fetch', 'performance', 'crypto', 'console'],
]

const layersMessage = 'the layers, at the head of oxlint.config.ts, do not allow it'
const pureMessage = 'core is pure: hand it in as an argument'
const processMessage = 'only the mains touch the process'
const mains = ['cache-service/main.ts', 'cache-service/cli/main.ts']

type Restriction = { group: string[]; message: string; allowTypeImports?: boolean }

const isFolderOf = (name: string) => `**/${name}/**`

// By name: a pattern that excepts the door would except it from every other pattern, too.
const insidesOfConfig = readdirSync(join(import.meta.dirname, 'cache-service', 'config'))
  .filter((file) => file !== 'config.ts')
  .map((file) => `**/config/${file}`)

function restrictImports(files: string[], ...patterns: Restriction[]): OxlintOverride {
  return { files, rules: { 'no-restricted-imports': ['error', { patterns }] } }
}

/**
 * What the files of a layer may not import: layers that are not allowed, libraries that another folder owns, the
 * insides of the configuration, and the older HTTP service (`cache-queue`) in another layer.
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
      ...insides,
      ...process,
      ...others.flatMap(([, names]) => names),
    ],
    message: layersMessage,
  }
}

function forbiddenConfig(config: 'type' | 'value' | 'never'): Restriction[] {
  if (config === 'value') return []
  const message = 'roles, cli and main read the configuration and hand its values down'
  return [{ group: ['**/config.ts'], message, allowTypeImports: config === 'type' }]
}

function pureImports(...folders: string[]): Restriction {
  return {
    group: ['**', ...folders, ...pureLibraries.map((name) => `!${name}`)],
    message: `core is pure: it imports core, shared, ${pureLibraries.join(' and ')} only`,
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

/** The files of a folder of commands that register one; the others are what commands share. */
function commandsIn(folder: string): string[] {
  const path = join(commandsFolder, folder)
  return readdirSync(path).filter(
    (file) =>
      file.endsWith('.ts') && readFileSync(join(path, file), 'utf8').includes('export function register'),
  )
}

/** Commands don't import each other: what two of them need is a file beside them. Only a group's own file imports its commands. */
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
  group: ['node:*', 'ioredis', 'ioredis/**', '**/redis-library/**'],
  message: 'shared/client and shared/contract run in browsers, too',
}

// Of several overrides that set one rule for one file, the last counts, and as a whole.
const overrides: OxlintOverride[] = [
  { files: ['cache-service/**', 'shared/**'], rules: { 'no-console': 'error' } },
  restrictGlobals(['cache-service/**', 'shared/**'], mains, { process: processMessage }),
  restrictImports(['shared/**'], ...forbiddenInShared),
  restrictImports(['shared/client/**'], ...forbiddenInShared, forbiddenInBrowsers),
  restrictImports(['shared/contract/**'], ...forbiddenInShared, forbiddenInBrowsers, {
    group: ['**/client/**'],
    message: 'the contract knows neither who serves it nor who asks',
  }),
  restrictImports(['shared/redis-library/**'], ...forbiddenInShared, {
    group: ['**/client/**'],
    message: 'the Redis library and the client of the API are two products',
  }),
  restrictImports(['cache-service/config/**'], forbidden('config', []), {
    group: ['**/config.ts'],
    message: 'config.ts is the door: the rest of the folder knows nothing of it',
  }),
  restrictImports(['cache-service/config/config.ts'], forbidden('config', [])),
  restrictImports(['cache-service/main.ts'], forbidden('main', Object.keys(layers))),
  ...layerOverrides,
  ...commandOverrides,
  restrictImports(['cache-service/core/*'], pureImports('!./**', '!../../shared/**')),
  restrictImports(
    ['cache-service/core/*/**'],
    pureImports('!./**', '!../**', '../../**', '!../../../shared/**'),
  ),
  restrictImports(['cache-service/page/**'], {
    group: ['**', '!./**'],
    message: 'the page runs in browsers: it imports its own files and ./vendor/ only',
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
    files: ['*.config.ts', 'test/support/servers/global-servers.ts'],
    rules: { 'import/no-default-export': 'off' },
  },
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
    // A row of arguments reads better as ...['--port', port] a line.
    'unicorn/no-useless-spread': 'off',
    // Assertions live in properties, in tables and in `eventually` too.
    'vitest/expect-expect': 'off',
    'vitest/no-conditional-expect': 'off',
    'vitest/require-to-throw-message': 'off',
  },
  ignorePatterns: ['dist/**', '.cache/**', 'coverage/**'],
  overrides,
})
