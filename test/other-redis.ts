// `make valkey` and `make redis8`: the integration tests, and the faults of a Redis Cluster, on another server program.
// Further arguments are those of vitest instead.
import { spawnSync } from 'node:child_process'
import { fetchRedisProgram, isRedisProgram } from './support/servers/redis-programs.ts'

const [name = '', ...given] = process.argv.slice(2)
if (!isRedisProgram(name)) throw new Error(`unknown program: ${name}`)
const program = await fetchRedisProgram(name)
const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' })
console.log(`${program}: ${stdout.trim()}`)
const env = { ...process.env, TEST_REDIS_SERVER: program }
const runs =
  given.length > 0
    ? [given]
    : [
        ['--project', 'integration'],
        [
          '--project',
          'faults',
          'test/faults/redis-cluster-servers.test.ts',
          'test/faults/library-in-cluster.test.ts',
        ],
      ]
for (const args of runs) {
  const { status } = spawnSync('vitest', ['run', ...args], { stdio: 'inherit', env })
  if (status !== 0) process.exitCode = 1
}
