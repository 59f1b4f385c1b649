import { Redis } from 'ioredis'
import { openApi } from '../../../cache-service/roles/api.ts'
import { eventually } from '../eventually.ts'
import { reservePort } from '../servers/free-port.ts'
import { markFilled } from '../records/filled-cache.ts'
import { startRole, type RoleRun } from './role-run.ts'

/** The role `api`, fully wired, in this process. `url` is the API, `health` the metrics port. */
export type RunningApi = Pick<RoleRun, 'lines' | 'metric' | 'stop' | 'ended'> & {
  readonly url: string
  readonly health: string
}

/**
 * The cache counts as filled, unless the test flushes the database or Redis cannot be reached.
 *
 * Resolves when the role is ready (or, with `/livez`, answers); rejects with the error that ended it.
 */
export async function startApi(
  env: Readonly<Record<string, string>>,
  { until = '/readyz' }: { until?: '/readyz' | '/livez' } = {},
): Promise<RunningApi> {
  await markFilledAt(env['REDIS_URL'])
  const { port, release } = await reservePort()
  const role = await startRole(openApi, { PORT: String(port), ...env })
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    try {
      await role.stop()
    } finally {
      await release()
    }
  }
  const answers = eventually(
    async () => {
      const { status } = await fetch(url + until)
      if (status !== 200) throw new Error(`${until} returned ${status}`)
    },
    { describe: 'the api answers' },
  )
  await Promise.race([answers, role.ended]).catch(async (error: unknown) => {
    answers.catch(() => undefined)
    await release()
    throw error
  })
  return { url, health: role.url, lines: role.lines, metric: role.metric, ended: role.ended, stop }
}

async function markFilledAt(redisUrl: string | undefined): Promise<void> {
  if (redisUrl === undefined) return
  const redis = new Redis(redisUrl, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null })
  redis.on('error', () => undefined)
  // Tests of an API without Redis start it, too.
  await markFilled(redis).catch(() => undefined)
  redis.disconnect()
}
