import { setTimeout as sleep } from 'node:timers/promises'
import { DeviceCacheClient } from '../../../shared/client/client.ts'
import { assertNone } from '../oracle/oracle.ts'
import { eventually } from '../eventually.ts'
import type { WorkerProcess } from '../processes/worker-process.ts'
import type { ScenarioContext, WorkerScenario } from '../processes/worker-scenario.ts'
import { update } from '../records/tagged-records.ts'
import { reservePort } from '../servers/free-port.ts'
import { uniqueName } from '../test-scope.ts'
import { startEventClient } from './event-client.ts'
import { devicesOf } from './loaded-worker.ts'
import { deviceDifferences, startLookupClient } from './lookup-client.ts'
import { startUpdatePublisher, updateProblems, type PublishTarget } from './update-publisher.ts'

const FIRST_SEEN_EVERY_MS = 100
/** An attempt on a busy machine; tests do not measure how long answers take. */
const CLIENT_TIMEOUT_MS = 30_000
const HEALS_WITHIN_MS = 90_000

export type ClientFigures = {
  readonly lookups: number
  readonly failedLookups: number
  /** How many devices a client saw go back, and the longest time until they were as new as before again. */
  readonly outdatedDevices: number
  readonly outdatedMs: number
  readonly resets: number
}

/** A process of role `all`, and clients of its API. */
export type AttachedClients = {
  readonly all: WorkerProcess
  /** Ends what the clients send. Call it before the oracle compares. */
  stopSending(): Promise<void>
  /** Waits until every client has what Kafka and the updates say, and checks what they saw on the way. */
  assertAtRest(options: { readonly mayGoBack: boolean }): Promise<ClientFigures>
}

/**
 * Starts, beside the workers, a process of role `all` in the same consumer group; a client that looks devices up all the time; a
 * client that follows the events and keeps a copy of devices and state by them; a publisher of updates; and devices that send one
 * record each, so that no later change makes up for an event that is lost.
 */
export async function attachClients(
  context: ScenarioContext,
  scenario: WorkerScenario,
  target: PublishTarget,
): Promise<AttachedClients> {
  const { oracle } = scenario
  const channel = uniqueName('update')
  const api = await reservePort()
  context.onTestFinished(async () => void (await api.release()))
  const all = await scenario.startWorker({ PORT: String(api.port), REDIS_UPDATE_CHANNEL: channel }, 'all')
  await all.ready(120_000)

  const options = { baseUrl: `http://127.0.0.1:${api.port}`, timeoutMs: CLIENT_TIMEOUT_MS }
  const client = new DeviceCacheClient({ ...options, retries: 0 })
  const follower = new DeviceCacheClient(options)
  const known = devicesOf(scenario)
  const events = await startEventClient(follower, known)
  const lookups = startLookupClient(client, known)
  const publisher = startUpdatePublisher(target, channel)
  const firstSeen = startNewDevices(scenario)
  context.onTestFinished(async () => {
    client.close()
    follower.close()
    // If the test has failed, its error is the one to report.
    await Promise.allSettled([lookups.stop(), events.stop(), publisher.stop(), firstSeen.stop()])
  })

  async function differences(state: ReadonlyMap<string, number>): Promise<string[]> {
    const expected = oracle.expectedDevices()
    const { complete, errors, found, missing } = await client.lookup([...known(), ...expected.keys()])
    const deleted = missing.filter((id) => !expected.has(id))
    return [
      ...(complete && missing.length === deleted.length ? [] : ['the API misses devices']),
      ...[...errors.values()].map(String),
      ...[...expected].flatMap(([id, { fields }]) => deviceDifferences(id, found.get(id), fields)),
      ...[...expected].flatMap(
        ([
          id,
          {
            fields: { last_updated },
          },
        ]) =>
          events.devices.get(id) === last_updated
            ? []
            : [`the copy kept by events has ${id} of ${events.devices.get(id)}, not of ${last_updated}`],
      ),
      ...deleted.flatMap((id) => (events.devices.has(id) ? [`the copy kept by events has ${id}`] : [])),
      ...[...state].flatMap(([type, n]) =>
        events.state.get(type) === n
          ? []
          : [`the copy kept by events has update ${events.state.get(type)} of ${type}, not ${n}`],
      ),
      ...updateProblems(events.updates, publisher.published),
    ]
  }

  return {
    all,
    stopSending: () => firstSeen.stop(),
    async assertAtRest({ mayGoBack }) {
      const state = await publisher.finish()
      await eventually(async () => assertNone(await differences(state)), {
        timeoutMs: HEALS_WITHIN_MS,
        everyMs: 500,
        describe: 'all clients have the newest',
      })
      assertNone(await lookups.stop())
      await events.stop()
      // After a tombstone, a late record may bring a device back.
      const outdated = [...lookups.outdated].filter(([id]) => !oracle.hasTombstone(id))
      if (!mayGoBack) assertNone(outdated.map(([id, ms]) => `${id} went back for ${Math.round(ms)} ms`))
      return {
        lookups: lookups.lookups,
        failedLookups: lookups.failed,
        outdatedDevices: outdated.length,
        outdatedMs: Math.round(Math.max(0, ...outdated.map(([, ms]) => ms))),
        resets: events.resets,
      }
    },
  }
}

function startNewDevices(scenario: WorkerScenario) {
  const stopping = new AbortController()
  const running = (async () => {
    for (let n = 0; !stopping.signal.aborted; n++) {
      await scenario.send([update({ deviceId: `seen-once-${n}` })])
      await sleep(FIRST_SEEN_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  })()
  running.catch(() => undefined) // `stop` reports it.
  return {
    async stop() {
      stopping.abort()
      await running
    },
  }
}
