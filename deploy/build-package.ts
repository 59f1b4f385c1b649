import { spawnSync } from 'node:child_process'
import { cpSync, globSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/**
 * `npm run build`: writes dist/, the compiled part of the npm package. Node.js runs the TypeScript of a checkout
 * directly, but not below node_modules, where only JavaScript works.
 */
const root = join(import.meta.dirname, '..')
/** Files that the program reads at run time and tsc does not copy. */
const READ_AT_RUN_TIME = ['cache-service/redis/**/*.lua', 'cache-service/page/*']

rmSync(join(root, 'dist'), { recursive: true, force: true })
const compiler = join(root, 'node_modules/.bin/tsc')
const { error, status } = spawnSync(compiler, ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
if (error !== undefined) throw error
for (const file of globSync(READ_AT_RUN_TIME, { cwd: root })) {
  cpSync(join(root, file), join(root, 'dist', file))
}
process.exitCode = status ?? 1
