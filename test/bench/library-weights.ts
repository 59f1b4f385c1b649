// `node test/bench/library-weights.ts`: what the libraries weigh for those who install them, and in a browser bundle. The
// figures in docs/client.md and docs/redis-library.md are its output.
import { glob, lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { bundleForBrowsers, gzipBytes } from '../support/processes/bundle.ts'
import { installLibraries, packLibraries } from '../support/processes/npm-libraries.ts'
import type { NpmProject } from '../support/processes/npm-package.ts'

const CLIENT = 'iot-device-cache-client'
const REDIS = 'iot-device-cache-redis'

async function weigh({ folder }: NpmProject) {
  const [packages, bytes] = [new Set<string>(), { sum: 0 }]
  for await (const path of glob('node_modules/**/*', { cwd: folder })) {
    const [, name] = /^.*node_modules\/((?:@[^/]+\/)?[^@./][^/]*)\//.exec(path) ?? []
    if (name !== undefined) packages.add(name)
    const status = await lstat(join(folder, path))
    if (status.isFile()) bytes.sum += status.size
  }
  return { packages: packages.size, MB: (bytes.sum / 1e6).toFixed(1) }
}

const packed = await packLibraries()
try {
  for (const [name, packages] of Object.entries({
    [CLIENT]: {},
    [REDIS]: { ioredis: 'ioredis', zod: 'zod' },
  })) {
    const project = await installLibraries([packed.tarballs.get(name) ?? ''], packages)
    try {
      console.log(name, await weigh(project))
      if (name !== CLIENT) continue
      const { code } = await bundleForBrowsers(project.folder, `export * from '${CLIENT}'`)
      console.log('in a browser bundle:', { KB: kilobytes(code.length), gzip: kilobytes(gzipBytes(code)) })
    } finally {
      await project.remove()
    }
  }
} finally {
  await packed.remove()
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1_000).toFixed(1)} KB`
}
