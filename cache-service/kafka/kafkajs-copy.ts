import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { compileFunction } from 'node:vm'
import type KafkaJs from 'kafkajs'

/** A module of the copy, by its path in the package. */
export type Internal = (path: string) => unknown

/** Returns what a module exports instead. */
export type Replacement = (original: unknown, internal: Internal) => unknown

/**
 * KafkaJS measures intervals with `Date.now()`: after the host's clock was set back by an hour, it would send no heartbeat
 * and let no request time out for an hour. Only its encoders, in src/protocol, use it for the times of records.
 */
export class MonotonicDate extends Date {
  static override now(): number {
    return Math.floor(performance.timeOrigin + performance.now())
  }
}

/**
 * Loads a private copy of KafkaJS, module by module; other code in the process that imports KafkaJS gets the original.
 *
 * KafkaJS loads the encoders and decoders of a request when it is first sent. If the process has no free file descriptor at that
 * moment, or the files have been deleted, the request fails. Here all are loaded at once.
 *
 * @param replacements path in the package → what replaces that module.
 */
export function loadKafkaJs(replacements: Readonly<Record<string, Replacement>>): typeof KafkaJs {
  const require = createRequire(import.meta.url)
  const root = dirname(require.resolve('kafkajs/package.json'))
  const modules = new Map<string, { exports: unknown }>()

  function load(file: string): unknown {
    const loaded = modules.get(file)
    if (loaded !== undefined) return loaded.exports
    const source = readFileSync(file, 'utf8')
    const module: { exports: unknown } = { exports: {} }
    modules.set(file, module)
    if (file.endsWith('.json')) {
      module.exports = JSON.parse(source)
    } else {
      const { resolve } = createRequire(file)
      const requireFrom = (id: string): unknown => (id.startsWith('.') ? load(resolve(id)) : require(id))
      const names = ['module', 'exports', 'require', '__filename', '__dirname', 'Date']
      const run = compileFunction(source, names, { filename: file })
      const isProtocol = relative(root, file).startsWith('src/protocol/')
      run(module, module.exports, requireFrom, file, dirname(file), isProtocol ? Date : MonotonicDate)
    }
    const replace = replacements[relative(root, file)]
    if (replace !== undefined) module.exports = replace(module.exports, internal)
    return module.exports
  }

  function internal(path: string): unknown {
    return load(join(root, path))
  }

  const copy = load(require.resolve('kafkajs')) as typeof KafkaJs
  const protocol = join(root, 'src/protocol')
  for (const path of readdirSync(protocol, { recursive: true, encoding: 'utf8' }))
    if (path.endsWith('.js')) load(join(protocol, path))
  return copy
}
