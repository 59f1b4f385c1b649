// Keeps a copy of the kv-updater's values current: reads all of them once, then follows the events from that point.
import { DeviceCacheClient } from 'iot-device-cache-client'

const client = new DeviceCacheClient({ baseUrl: process.env['CACHE_API'] ?? 'http://localhost:5011' })
const stop = AbortSignal.timeout(Number(process.env['WATCH_MS'] ?? 60_000))

const values = new Map<string, unknown>()

async function readAll(): Promise<string> {
  const state = await client.state()
  for (const [type, value] of state.values) values.set(type, value)
  console.log(`read: ${[...values.keys()].join(', ')}`)
  return state.lastEventId
}

try {
  for await (const event of client.watch({
    events: ['update'],
    lastEventId: await readAll(),
    signal: stop,
    onConnection: ({ kind }) => console.error(`(${kind})`),
  })) {
    switch (event.kind) {
      case 'update':
        if (event.isTooLarge) values.set(event.type, (await client.state(event.type))?.values.get(event.type))
        else values.set(event.type, { updated: event.updated, valid: event.valid, values: event.values })
        console.log(`${event.type}: ${JSON.stringify(values.get(event.type))}`)
        break
      case 'reset': // events may have been missed
        await readAll()
        break
      case 'device': // not requested
        break
    }
  }
} catch (error) {
  if (!stop.aborted) throw error
} finally {
  client.close()
}
