// One client for the whole process: it combines lookups that are made at the same time into one request.
import { CacheRebuildingError, DeviceCacheClient, DeviceCacheError } from 'iot-device-cache-client'

const client = new DeviceCacheClient({ baseUrl: process.env.CACHE_API ?? 'http://localhost:5011' })

async function unitOf(id) {
  try {
    const device = await client.get(id)
    return device === undefined ? 'no such device' : (device.datatype_unit ?? 'no unit')
  } catch (error) {
    // This does not mean "no such device": the cache is still being filled, and the device may yet arrive.
    if (error instanceof CacheRebuildingError) return 'not known yet'
    if (error instanceof DeviceCacheError) return `unavailable: ${error.message}`
    throw error
  }
}

const ids = process.argv.slice(2)
const units = await Promise.all(ids.map(unitOf)) // one request
for (const [i, unit] of units.entries()) console.log(`${ids[i]}: ${unit}`)

const { complete, found, missing } = await client.lookup(ids)
console.log(`${found.size} found, ${missing.length} missing${complete ? '' : ' (the cache is being filled)'}`)
client.close()
