// Jobs as typed JSON values. Python's cledar.redis.RedisService reads and writes the same keys.
import {
  enumName,
  FailedValue,
  isoDate,
  RedisDeserializationError,
  RedisService,
  redisSettingsFrom,
} from 'iot-device-cache-redis'
import { z } from 'zod'

const Mode = { FAST: 1, VERY_FAST: 2 } as const
const jobSchema = z.object({ mode: enumName(Mode), due: isoDate(), tries: z.number() })

await using service = new RedisService(redisSettingsFrom(process.env), {
  onProblem: (problem) => console.error(problem.message),
})
await service.connect()

const job = { mode: Mode.VERY_FAST, due: new Date('2026-01-02T03:04:05Z'), tries: 0 }
await service.set('job:1', job, { schema: jobSchema, ttlS: 3600 })
await service.set('job:2', 'not a job')
console.log('stored:', await service.getRaw('job:1'))

const found = await service.get('job:1', jobSchema)
console.log('read:', found?.mode === Mode.VERY_FAST, found?.due.getUTCFullYear())

for (const result of await service.mget(['job:1', 'job:2', 'job:3'], jobSchema)) {
  if (result === null) console.log('none')
  else if (result instanceof FailedValue) console.log(`${result.key}: ${result.error.name}`)
  else console.log(`${result.tries} tries`)
}

try {
  await service.get('job:2', jobSchema)
} catch (error) {
  if (!(error instanceof RedisDeserializationError)) throw error
  console.log('deleted:', await service.delete('job:2'))
}
console.log('left:', await service.listKeys('job:*'))
