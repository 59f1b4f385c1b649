import { expect, test } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { openWorkerScenario } from '../support/processes/worker-scenario.ts'

const CALLERS = 100

test('an overloaded api rejects excess requests, and the worker keeps working', async (context) => {
  const scenario = await openWorkerScenario(context)
  const { oracle } = scenario
  const worker = await scenario.startWorker()
  await worker.ready()
  const redisUrl = scenario.env['REDIS_URL'] ?? ''
  const api = await startRoleProcess('api', { REDIS_URL: redisUrl, API_MAX_CONCURRENT_REQUESTS: '4' })
  context.onTestFinished(async () => void (await api.stop()))
  await becomesReady(api)

  const ids = Array.from({ length: 1000 }, (_, i) => `device-${i}`)
  const flood = new AbortController()
  const statuses = new Map<number, number>()
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!flood.signal.aborted) {
      const reply = await fetch(`${api.apiUrl}/api/devices/lookup`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ids }),
      })
      await reply.arrayBuffer()
      statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1)
      if (reply.status === 503) expect(reply.headers.get('retry-after')).toBe('1')
    }
  })
  await patiently(() => expect(statuses.get(503) ?? 0).toBeGreaterThan(CALLERS))
  await scenario.sendFleet(2_000, { seed: 7, devices: 100 })
  // The flood is still going on.
  await oracle.assertCaughtUp({ consumed: scenario.consumed })
  expect((await fetch(`${api.apiUrl}/livez`)).status).toBe(200)
  flood.abort()
  await Promise.all(callers)
  expect([...statuses.keys()].toSorted()).toEqual([200, 503])
  expect(await worker.stop()).toBe(0)
})
