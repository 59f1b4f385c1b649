import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig, type OxlintOverride } from 'oxlint'

// The layers, as what each folder of cache-service/ may import of the others (itself and shared/ always):
//
//   shared <- core <- telemetry <- {kafka, redis, http} <- pipeline <- {cli, roles} <- main
//
// lifecycle depends on shared only and serves all. kafka, redis and http never import each other. core is pure:
// no I/O, no clock, no random. test/unit/layers.test.ts proves that each of these rules fires.
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

/** All that the files may not import: other folders, others' libraries, the insides of the configuration. */
function forbidden(own: string, allowedFolders: readonly string[]): Restriction {
  const folders = Object.keys(layers).filter((name) => name !== own && !allowedFolders.includes(name))
  const others = Object.entries(libraries).filter(([owner]) => owner !== own)
  const insides = own === 'config' ? [] : insidesOfConfig
  const process = own === 'main' ? [] : ['node:process']
  return {
    group: [
      ...folders.map(isFolderOf),
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

const layerOverrides = Object.entries(layers).map(([name, { imports, config }]) =>
  restrictImports([`cache-service/${name}/**`], forbidden(name, imports), ...forbiddenConfig(config)),
)

// Of several overrides that set one rule for one file, the last counts, and as a whole.
const overrides: OxlintOverride[] = [
  { files: ['cache-service/**', 'shared/**'], rules: { 'no-console': 'error' } },
  restrictGlobals(['cache-service/**', 'shared/**'], mains, { process: processMessage }),
  restrictImports(['shared/**'], forbidden('redis', []), {
    group: ['**/cache-service/**'],
    message: layersMessage,
  }),
  restrictImports(['cache-service/config/**'], forbidden('config', []), {
    group: ['**/config.ts'],
    message: 'config.ts is the door: the rest of the folder knows nothing of it',
  }),
  restrictImports(['cache-service/config/config.ts'], forbidden('config', [])),
  restrictImports(['cache-service/main.ts'], forbidden('main', Object.keys(layers))),
  ...layerOverrides,
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
