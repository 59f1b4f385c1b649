import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, posix, resolve } from 'node:path'
import npmPackage from '../package.json' with { type: 'json' }
import { compileLibraries, reachableFrom } from './compile-libraries.ts'
import { libraries, OLDEST_NODE, type Library } from './libraries.ts'

/**
 * `npm run build`, second part: writes each package of deploy/libraries.ts to dist/libraries/<name> (or below the folder
 * that is named), from where `npm pack` and `npm publish` take it. A package contains the modules that it exports and all
 * that these import.
 */
const root = join(import.meta.dirname, '..')
const output = resolve(process.argv[2] ?? join(root, 'dist/libraries'))
const compiled = join(output, 'compiled')

rmSync(output, { recursive: true, force: true })
compileLibraries(compiled)
for (const library of libraries) writeLibrary(library)
rmSync(compiled, { recursive: true })

function writeLibrary(library: Library): void {
  const folder = join(output, library.name)
  const { files, packages } = reachableFrom(compiled, Object.values(library.exports))
  assertDeclared(library, packages)
  for (const file of [...files].flatMap((path) => (path.endsWith('.js') ? [path, `${path}.map`] : [path]))) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    cpSync(join(compiled, file), join(folder, file))
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifestOf(library), null, 2)}\n`)
  writeFileSync(join(folder, 'README.md'), readmeOf(library))
  for (const file of ['LICENSE', 'CHANGELOG.md']) cpSync(join(root, file), join(folder, file))
}

function assertDeclared(
  { name, dependencies, isForBrowsers, peerDependencies }: Library,
  packages: ReadonlySet<string>,
): void {
  const declared = new Set([...Object.keys(dependencies ?? {}), ...Object.keys(peerDependencies ?? {})])
  const isAllowed = (specifier: string) =>
    specifier.startsWith('node:') ? !isForBrowsers : declared.has(specifier)
  const undeclared = [...packages].filter((specifier) => !isAllowed(specifier))
  if (undeclared.length > 0) throw new Error(`${name} must not import ${undeclared.join(', ')}`)
}

function manifestOf({ name, description, dependencies, exports, peerDependencies = {} }: Library) {
  const { bugs, homepage, license, repository, version } = npmPackage
  const peers = Object.entries(peerDependencies)
  const optional = peers.filter(([, { isOptional }]) => isOptional)
  return {
    ...{ name, version, description, license, homepage, repository, bugs, type: 'module' },
    engines: { node: `>=${OLDEST_NODE}` },
    sideEffects: false,
    exports: Object.fromEntries([
      ...Object.entries(exports).map(([path, module]) => [
        path,
        { types: `./${module}.d.ts`, default: `./${module}.js` },
      ]),
      ['./package.json', './package.json'],
    ]),
    dependencies,
    peerDependencies: Object.fromEntries(peers.map(([peer, { range }]) => [peer, range])),
    peerDependenciesMeta: Object.fromEntries(optional.map(([peer]) => [peer, { optional: true }])),
  }
}

/** The package has no other pages: its links lead to the repository. */
function readmeOf({ readme }: Library): string {
  const home = npmPackage.homepage.replace(/#.*/, '')
  const text = readFileSync(join(root, readme), 'utf8')
  return text.replaceAll(/\]\((?!https?:|#)([^)]+)\)/g, (_, path: string) => {
    return `](${home}/blob/main/${posix.join(dirname(readme), path)})`
  })
}
