import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { libraries } from './libraries.ts'

const root = join(import.meta.dirname, '..')

/**
 * Compiles what the libraries export, and what that imports, to a folder with the structure of `shared/`.
 *
 * @param options of the compiler, besides those of tsconfig.libraries.json.
 * @throws Error with the compiler's output.
 */
export function compileLibraries(folder: string, options: readonly string[] = []): void {
  const modules = libraries.flatMap((library) => Object.values(library.exports))
  const project = {
    extends: join(root, 'tsconfig.libraries.json'),
    compilerOptions: { outDir: folder, typeRoots: [join(root, 'node_modules/@types')] },
    files: modules.map((path) => join(root, 'shared', `${path}.ts`)),
  }
  mkdirSync(folder, { recursive: true })
  const config = join(folder, 'tsconfig.json')
  writeFileSync(config, JSON.stringify(project))
  const compiler = join(root, 'node_modules/.bin/tsc')
  const { error, status, stdout } = spawnSync(compiler, ['-p', config, ...options], {
    cwd: root,
    encoding: 'utf8',
  })
  rmSync(config)
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`The libraries do not compile:\n${stdout}`)
}

/** The module of a relative import, without its extension. */
export function resolveModule(from: string, specifier: string): string {
  return posix.join(posix.dirname(from), specifier.replace(/\.[jt]s$/, ''))
}

/** The files of the modules and of all that they import, and the names of the packages among them. */
export function reachableFrom(
  folder: string,
  modules: readonly string[],
): { readonly files: ReadonlySet<string>; readonly packages: ReadonlySet<string> } {
  const packages = new Set<string>()
  const files = new Set(modules.flatMap(filesOf))
  // A set is iterated in the order of insertion, including what is added meanwhile.
  for (const file of files) {
    const text = readFileSync(join(folder, file), 'utf8')
    for (const [, specifier = ''] of text.matchAll(/\b(?:from|import) *\(? *['"]([^'"\n]+)['"]/g)) {
      if (!specifier.startsWith('.')) packages.add(specifier)
      else for (const path of filesOf(resolveModule(file, specifier))) files.add(path)
    }
  }
  return { files, packages }
}

function filesOf(module: string): string[] {
  return [`${module}.js`, `${module}.d.ts`]
}
