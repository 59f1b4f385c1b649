// For who asks thousands of times a second: answers are kept here, and dropped when the API says that a device
// has changed. While the API fails, what was known is given for some minutes more.
import { DeviceCacheClient } from 'iot-device-cache/client'

const client = new DeviceCacheClient({
  baseUrl: process.env['CACHE_API'] ?? 'http://localhost:5011',
  nearCache: { maxEntries: 50_000, maxAgeMs: 60_000, staleIfErrorMs: 300_000 },
})

const id = process.argv[2] ?? 'sensor-1'
const name = async () => (await client.get(id))?.datatype_name ?? 'unknown'

console.log(`${id} measures ${await name()}`)
while (client.stats.nearHits === 0) await name() // until the events are followed
console.log(`asked near by: ${await name()}`)
client.close()
