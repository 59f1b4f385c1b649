// A configuration with a history, cached in memory and watched for changes. Python's RedisConfigStore shares the keys.
import { RedisConfigStore, redisSettingsFrom, RedisVersionConflictError } from 'iot-device-cache-redis'
import { z } from 'zod'

const limitsSchema = z.object({ perMinute: z.number() })

await using store = new RedisConfigStore(redisSettingsFrom(process.env), {
  prefix: 'app:',
  enableNotifications: true,
})
await store.connect()

console.log(await store.update('limits', { perMinute: 100 }))
console.log(await store.update('limits', { perMinute: 100 }))

const notified = Promise.withResolvers<void>()
const watch = await store.watch('limits', async ({ event, version }) => {
  console.log(`${event}: version ${version} is`, await store.fetch(limitsSchema, 'limits'))
  notified.resolve()
})
await store.update('limits', { perMinute: 200 }, { expectedVersion: 1 })
await notified.promise
await watch.stop()

try {
  await store.update('limits', { perMinute: 300 }, { expectedVersion: 1 })
} catch (error) {
  if (!(error instanceof RedisVersionConflictError)) throw error
  console.log(error.message)
}
for (const { version, text } of await store.history('limits')) console.log(version, text)
