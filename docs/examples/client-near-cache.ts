// For services that query thousands of times per second: responses are kept in this process and dropped when the
// API reports that a device has changed. While the API fails, the last known values are used for a few minutes.
import { DeviceCacheClient } from 'iot-device-cache-client'

const client = new DeviceCacheClient({
  baseUrl: process.env['CACHE_API'] ?? 'http://localhost:5011',
  nearCache: { maxEntries: 50_000, maxAgeMs: 60_000, staleIfErrorMs: 300_000 },
})

const id = process.argv[2] ?? 'sensor-1'
const name = async () => (await client.get(id))?.datatype_name ?? 'unknown'

console.log(`${id} measures ${await name()}`)
while (client.stats.nearHits === 0) await name() // until the event stream is connected
console.log(`from the near cache: ${await name()}`)
client.close()
