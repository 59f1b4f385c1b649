import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { rolldown } from 'rolldown'

export type Bundle = {
  readonly code: string
  /** The paths of the files in it. */
  readonly modules: readonly string[]
}

/** Bundles and minifies a module as browsers load it. @param folder whose node_modules the module imports from. */
export async function bundleForBrowsers(folder: string, text: string): Promise<Bundle> {
  const entry = join(folder, 'bundle-entry.js')
  const bundle = await rolldown({
    input: entry,
    platform: 'browser',
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === entry ? entry : null),
        load: (id) => (id === entry ? text : null),
      },
    ],
    onLog: (level, { message }) => {
      if (level === 'warn') throw new Error(message)
    },
  })
  try {
    const { output } = await bundle.generate({ format: 'esm', minify: true })
    const [chunk] = output
    return { code: chunk.code, modules: chunk.moduleIds.filter((id) => id !== entry && !id.startsWith('\0')) }
  } finally {
    await bundle.close()
  }
}

export function gzipBytes(text: string): number {
  return gzipSync(text, { level: 9 }).length
}
