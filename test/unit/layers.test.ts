import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { layers } from '../../oxlint.config.ts'
import { repository } from '../support/repository.ts'

// Proves that the lint rules for layers and purity fire, with offending files in the same layout as the repository.

const oxlint = join(repository, 'node_modules', '.bin', 'oxlint')

type Sample = { file: string; code: string }

const importing = (file: string, from: string): Sample => ({ file, code: `export { x } from '${from}'` })

const forbiddenImports: Sample[] = [
  importing('shared/a.ts', '../cache-service/core/records/order.ts'),
  importing('shared/b.ts', 'kafkajs'),
  importing('shared/c.ts', 'fastify'),
  importing('shared/e.ts', 'ioredis'),
  importing('shared/f.ts', 'node:fs'),
  importing('shared/g.ts', './redis-library/redis-service.ts'),
  importing('cache-service/core/a.ts', '../telemetry/worker-telemetry.ts'),
  importing('cache-service/core/b.ts', '../lifecycle/sleep.ts'),
  importing('cache-service/core/c.ts', '../config/config.ts'),
  importing('cache-service/core/d.ts', 'node:fs'),
  importing('cache-service/core/d2.ts', '../../shared/redis-library/connection.ts'),
  importing('cache-service/core/d3.ts', '../../shared/client/client.ts'),
  importing('cache-service/core/e.ts', 'node:crypto'),
  importing('cache-service/core/f.ts', 'pino'),
  { file: 'cache-service/core/g.ts', code: `export type { x } from '../redis/client.ts'` },
  { file: 'cache-service/core/h.ts', code: `export const x = await import('node:os')` },
  {
    file: 'cache-service/core/i.ts',
    code: `import type { Config } from '../config/config.ts'\nexport type X = Config`,
  },
  importing('cache-service/lifecycle/a.ts', '../core/backoff.ts'),
  importing('cache-service/lifecycle/b.ts', '../telemetry/logger.ts'),
  importing('cache-service/lifecycle/c.ts', '../config/config.ts'),
  importing('cache-service/telemetry/a.ts', '../kafka/client.ts'),
  importing('cache-service/telemetry/b.ts', '../redis/client.ts'),
  importing('cache-service/telemetry/c.ts', '../http/api-server.ts'),
  importing('cache-service/telemetry/d.ts', '../config/config.ts'),
  importing('cache-service/kafka/a.ts', '../redis/client.ts'),
  importing('cache-service/kafka/b.ts', '../http/api-server.ts'),
  importing('cache-service/kafka/c.ts', '../pipeline/worker/chunk-applier.ts'),
  importing('cache-service/kafka/d.ts', 'ioredis'),
  importing('cache-service/kafka/e.ts', '../config/config.ts'),
  importing('cache-service/kafka/f.ts', 'kafkajs'),
  importing('cache-service/kafka/f2.ts', '../../shared/redis-library/connection.ts'),
  importing('cache-service/redis/a.ts', '../kafka/client.ts'),
  importing('cache-service/redis/b.ts', '../http/api-server.ts'),
  importing('cache-service/redis/c.ts', 'kafkajs'),
  importing('cache-service/redis/d.ts', 'fastify'),
  importing('cache-service/redis/e.ts', '../roles/worker.ts'),
  importing('cache-service/redis/h.ts', '../../shared/redis-library/connection.ts'),
  importing('cache-service/http/a.ts', '../kafka/client.ts'),
  importing('cache-service/http/b.ts', '../redis/client.ts'),
  importing('cache-service/http/routes/a.ts', '../../redis/client.ts'),
  importing('cache-service/http/c.ts', 'ioredis'),
  importing('cache-service/http/d.ts', '../config/options.ts'),
  importing('cache-service/pipeline/a.ts', '../roles/worker.ts'),
  importing('cache-service/pipeline/b.ts', 'kafkajs'),
  importing('cache-service/pipeline/c.ts', 'snappy'),
  importing('cache-service/roles/a.ts', '../cli/commands/list.ts'),
  importing('cache-service/roles/b.ts', '../main.ts'),
  importing('cache-service/roles/c.ts', 'ioredis'),
  importing('cache-service/roles/d.ts', '../config/options.ts'),
  importing('cache-service/roles/e.ts', 'node:process'),
  importing('cache-service/cli/a.ts', '../roles/worker.ts'),
  importing('cache-service/cli/b.ts', 'lz4-napi'),
  importing('cache-service/cli/c.ts', 'ioredis/built/utils'),
  importing('cache-service/config/a.ts', './config.ts'),
  importing('cache-service/config/b.ts', '../core/backoff.ts'),
  importing('cache-service/config/config.ts', '../redis/client.ts'),
  importing('cache-service/main.ts', 'kafkajs'),
  importing('cache-service/core/records/a.ts', '../../telemetry/logger.ts'),
  importing('cache-service/core/records/b.ts', '../../redis/devices/device-writer.ts'),
  importing('cache-service/core/records/c.ts', '../../package-version.ts'),
  importing('cache-service/core/records/d.ts', 'node:fs'),
  importing('cache-service/core/records/d2.ts', '../../../shared/redis-library/serialization.ts'),
  importing('cache-service/redis/devices/a.ts', '../../kafka/client.ts'),
  importing('cache-service/http/routes/d.ts', '../../config/options.ts'),
  importing('cache-service/cli/commands/errors/a.ts', '../../../roles/worker.ts'),
  importing('cache-service/page/a.js', '../core/event-time.ts'),
  importing('cache-service/page/b.js', 'lit-html'),
  importing('shared/client/a.ts', 'node:fs'),
  importing('shared/client/b.ts', '../redis-library/redis-service.ts'),
  importing('shared/client/c.ts', 'ioredis'),
  importing('shared/client/c2.ts', '../pem.ts'),
  importing('shared/client/d.ts', '../../cache-service/core/event-time.ts'),
  importing('shared/contract/a.ts', '../client/client.ts'),
  importing('shared/contract/b.ts', 'node:fs'),
  importing('shared/redis-library/a.ts', '../client/client.ts'),
  importing('cache-service/cli/commands/a.ts', './list.ts'),
  importing('cache-service/cli/commands/b.ts', './errors/errors.ts'),
  importing('cache-service/cli/commands/c.ts', './doctor/redis-checks.ts'),
  importing('cache-service/cli/commands/d.ts', '../../roles/worker.ts'),
  importing('cache-service/cli/commands/errors/b.ts', './list.ts'),
  importing('cache-service/cli/commands/errors/c.ts', '../get.ts'),
  importing('cache-service/cli/commands/errors/d.ts', '../doctor/doctor.ts'),
  importing('cache-service/cli/commands/errors/errors.ts', '../get.ts'),
  importing('cache-service/http/routes/e.ts', '../../core/cache-queue/glob.ts'),
  importing('cache-service/redis/devices/b.ts', '../../core/cache-queue/cache-values.ts'),
  importing('cache-service/pipeline/d2.ts', '../redis/cache-queue/cache-values.ts'),
  importing('cache-service/cli/sources/a.ts', '../../redis/cache-queue/cache-values.ts'),
  importing('cache-service/core/records/e2.ts', 'node:crypto'),
]

const allowedImports: Sample[] = [
  importing('shared/d.ts', './contract/keys.ts'),
  importing('cache-service/core/j.ts', './records/order.ts'),
  importing('cache-service/core/k.ts', '../../shared/contract/keys.ts'),
  importing('cache-service/core/k2.ts', '../../shared/errors.ts'),
  importing('cache-service/core/k3.ts', '../../shared/backoff.ts'),
  importing('cache-service/core/k4.ts', '../../shared/json.ts'),
  importing('cache-service/core/l.ts', 'zod'),
  importing('cache-service/lifecycle/d.ts', '../../shared/errors.ts'),
  importing('cache-service/lifecycle/e.ts', 'node:timers/promises'),
  importing('cache-service/telemetry/e.ts', '../core/records/settle.ts'),
  {
    file: 'cache-service/telemetry/f.ts',
    code: `import type { C } from '../config/config.ts'\nexport type X = C`,
  },
  {
    file: 'cache-service/kafka/i.ts',
    code: `import type { Kafka } from 'kafkajs'\nexport type X = Kafka`,
  },
  importing('cache-service/kafka/j.ts', 'snappy'),
  importing('cache-service/kafka/g.ts', '../telemetry/worker-telemetry.ts'),
  importing('cache-service/kafka/h.ts', '../lifecycle/sleep.ts'),
  importing('cache-service/redis/f.ts', 'ioredis'),
  {
    file: 'cache-service/redis/g.ts',
    code: `import { type C } from '../config/config.ts'\nexport type X = C`,
  },
  importing('cache-service/http/e.ts', 'fastify'),
  importing('cache-service/http/routes/b.ts', '../api-server.ts'),
  importing('cache-service/http/routes/c.ts', '../../core/records/order.ts'),
  importing('cache-service/pipeline/d.ts', '../kafka/fetch-handler.ts'),
  importing('cache-service/pipeline/e.ts', '../redis/devices/device-writer.ts'),
  importing('cache-service/roles/f.ts', '../config/config.ts'),
  importing('cache-service/roles/g.ts', '../pipeline/worker/chunk-applier.ts'),
  importing('cache-service/cli/d.ts', '../config/config.ts'),
  importing('cache-service/core/records/e.ts', './order.ts'),
  importing('cache-service/core/records/f.ts', '../decode-json.ts'),
  importing('cache-service/core/records/g.ts', '../devices/device-view.ts'),
  importing('cache-service/core/records/h.ts', '../../../shared/contract/keys.ts'),
  importing('cache-service/core/records/i.ts', 'zod'),
  importing('cache-service/config/b2.ts', './options.ts'),
  importing('cache-service/page/c.js', './time.js'),
  importing('shared/client/e.ts', '../contract/keys.ts'),
  importing('shared/client/f.ts', 'zod'),
  importing('shared/redis-library/b.ts', 'ioredis'),
  importing('shared/redis-library/c.ts', '../contract/keys.ts'),
  importing('cache-service/cli/commands/e.ts', './id-file.ts'),
  importing('cache-service/cli/commands/errors/e.ts', './dead-letters.ts'),
  importing('cache-service/cli/commands/errors/f.ts', '../../terminal/table.ts'),
  importing('cache-service/cli/commands.ts', './commands/list.ts'),
  importing('cache-service/http/cache-queue/a.ts', '../../core/cache-queue/glob.ts'),
  importing('cache-service/redis/cache-queue/a.ts', '../../core/cache-queue/cache-values.ts'),
  importing('cache-service/roles/h.ts', '../http/cache-queue/routes.ts'),
  importing('cache-service/page/d.js', './vendor/lit-html/lit-html.js'),
]

const exporting = (folder: string, name: string, expression: string): Sample => ({
  file: `${folder}/${name}.ts`,
  code: `export const x = () => ${expression}`,
})

const impureCode: Sample[] = [
  exporting('cache-service/core', 'clock', 'Date.now()'),
  exporting('cache-service/core', 'quoted-clock', `Date['now']()`),
  exporting('cache-service/core', 'monotonic-clock', 'performance.now()'),
  exporting('cache-service/core', 'random', 'Math.random()'),
  exporting('cache-service/core', 'random-id', 'crypto.randomUUID()'),
  exporting('cache-service/core', 'environment', 'process.env'),
  exporting('cache-service/core', 'global-environment', 'globalThis.process.env'),
  exporting('cache-service/core', 'timeout', 'setTimeout(() => 1, 1)'),
  exporting('cache-service/core', 'interval', 'setInterval(() => 1, 1)'),
  exporting('cache-service/core', 'immediate', 'setImmediate(() => 1)'),
  exporting('cache-service/core', 'network', `fetch('http://localhost')`),
  exporting('cache-service/core', 'output', `console.log('x')`),
  exporting('cache-service/redis', 'output', `console.log('x')`),
  exporting('cache-service/roles', 'environment', 'process.env'),
  exporting('shared', 'environment', 'process.env'),
  exporting('shared', 'output', `console.log('x')`),
]

const allowedCode: Sample[] = [
  exporting('cache-service/core', 'parsing', `new Date('2025-06-08T18:27:17Z').getTime()`),
  exporting('cache-service/core', 'time-zone', 'Date.UTC(2025, 5, 8)'),
  exporting('cache-service/core', 'rounding', 'Math.max(1, 2)'),
  exporting('cache-service/telemetry', 'clock', 'Date.now()'),
]

const restriction = /no-restricted|no-console/

let folder: string
let findings: Map<string, string[]>

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'test-layers-'))
  writeFileSync(
    join(folder, 'oxlint.config.ts'),
    `export { default } from '${repository}/oxlint.config.ts'\n`,
  )
  for (const { file, code } of [...forbiddenImports, ...allowedImports, ...impureCode, ...allowedCode]) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), `${code}\n`)
  }
  findings = lint(folder)
})

afterAll(() => rmSync(folder, { recursive: true }))

describe('the linter', () => {
  test.each(forbiddenImports)('refuses $file: $code', ({ file }) => {
    expect(findings.get(file)).toContain('eslint(no-restricted-imports)')
  })

  test.each(impureCode)('refuses $file: $code', ({ file }) => {
    expect(findings.get(file)).toContainEqual(expect.stringMatching(restriction))
  })

  test.each([...allowedImports, ...allowedCode])('accepts $file: $code', ({ file }) => {
    expect(findings.get(file)?.filter((rule) => restriction.test(rule)) ?? []).toEqual([])
  })

  test('accepts the real source tree', () => {
    expect(Object.fromEntries(lint(repository, 'cache-service', 'shared'))).toEqual({})
  })
})

// Otherwise a sample proves nothing about the real tree. The build fills ./vendor/.
test.each(allowedImports.filter(({ code }) => /'\.\.?\/(?!vendor\/)/.test(code)))(
  'the file that the sample $file may import exists: $code',
  ({ file, code }) => {
    const [, target = ''] = /'([^']+)'/.exec(code) ?? []
    expect(existsSync(join(repository, dirname(file), target))).toBe(true)
  },
)

test('every folder of cache-service is a layer', () => {
  const found = readdirSync(join(repository, 'cache-service'), { withFileTypes: true })
  const folders = found.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  expect([...Object.keys(layers), 'config', 'page']).toEqual(expect.arrayContaining(folders))
})

// The linter's own rule ignores type imports.
test('no file of cache-service or shared is part of an import cycle', () => {
  const imports = new Map(
    ['cache-service', 'shared'].flatMap((root) =>
      readdirSync(join(repository, root), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => {
          const path = join(root, file)
          const text = readFileSync(join(repository, path), 'utf8')
          const relative = [...text.matchAll(/\b(?:from|import\()\s*'(\.[^']+)'/g)].map(
            ([, from = '']) => from,
          )
          return [path, relative.map((from) => join(dirname(path), from))] as const
        }),
    ),
  )
  const done = new Set<string>()
  function cycleFrom(file: string, path: readonly string[]): readonly string[] | undefined {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const next of imports.get(file) ?? []) {
      const cycle = cycleFrom(next, [...path, file])
      if (cycle !== undefined) return cycle
    }
    done.add(file)
    return undefined
  }
  expect([...imports.keys()].flatMap((file) => cycleFrom(file, []) ?? [])).toEqual([])
})

describe('a Date without arguments', () => {
  // No lint rule covers this.
  const now = /\bDate\s*\(\s*\)|\bnew\s+Date\b(?!\s*\()/

  test('is not used in core', () => {
    const core = join(repository, 'cache-service', 'core')
    const sources = readdirSync(core, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    )
    expect(sources.filter((file) => now.test(readFileSync(join(core, file), 'utf8')))).toEqual([])
  })

  test.each([
    ['new Date()', true],
    ['new Date( )', true],
    ['new Date', true],
    ['Date()', true],
    ['new Date(2025, 5)', false],
    ['Date.UTC(2025)', false],
    ['notADate()', false],
  ])('is found in %s: %s', (code, isFound) => {
    expect(now.test(code)).toBe(isFound)
  })
})

/** The violated rules, by file. */
function lint(root: string, ...paths: string[]): Map<string, string[]> {
  const { stdout, stderr } = spawnSync(process.execPath, [oxlint, '--format', 'json', ...paths], {
    cwd: root,
    encoding: 'utf8',
  })
  const report: unknown = stdout.startsWith('{') ? JSON.parse(stdout) : undefined
  if (!isReport(report)) throw new Error(`oxlint returned no report: ${stdout}${stderr}`)
  const found = new Map<string, string[]>()
  for (const { filename, code } of report.diagnostics) {
    found.set(filename, [...(found.get(filename) ?? []), code])
  }
  return found
}

function isReport(value: unknown): value is { diagnostics: { filename: string; code: string }[] } {
  return (
    typeof value === 'object' && value !== null && 'diagnostics' in value && Array.isArray(value.diagnostics)
  )
}
