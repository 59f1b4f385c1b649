import { spawnSync } from 'node:child_process'
import { cpSync, globSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/**
 * `npm run build`: dist/, what the npm package holds. Node runs the .ts of a checkout as they are, but no .ts
 * below node_modules: there it must be JavaScript.
 */
const root = join(import.meta.dirname, '..')
/** What the program reads beside its modules, and tsc does not copy. */
const READ_AT_RUN_TIME = ['cache-service/redis/**/*.lua', 'cache-service/page/*']

rmSync(join(root, 'dist'), { recursive: true, force: true })
const compiler = join(root, 'node_modules/.bin/tsc')
const { error, status } = spawnSync(compiler, ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
if (error !== undefined) throw error
for (const file of globSync(READ_AT_RUN_TIME, { cwd: root })) {
  cpSync(join(root, file), join(root, 'dist', file))
}
process.exitCode = status ?? 1
