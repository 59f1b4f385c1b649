import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { becomesReady, startRoleProcess } from '../../support/processes/role-process.ts'
import { createTopic, uniqueName, useRedisDatabase } from '../../support/test-scope.ts'
import { createSimulatedProducer } from '../../simulator/produce.ts'

// Roles run as separate processes, as an operator starts them.

async function startProcess(role: 'api' | 'all', env: Record<string, string>) {
  const started = await startRoleProcess(role, env)
  onTestFinished(async () => {
    started.kill('SIGKILL')
    await started.exit
  })
  return started
}

async function ownDatabase() {
  const database = await useRedisDatabase(inject('redisUrl'))
  onTestFinished(() => database.release())
  return database
}

describe('cache-service api', () => {
  test('exits with 2 if others could reach it and API_AUTH is not set', async () => {
    const database = await ownDatabase()
    const api = await startProcess('api', { REDIS_URL: database.url, API_HOST: '0.0.0.0' })
    expect(await api.exit).toBe(2)
    expect(api.output).toContain('API_AUTH is not set')
  })

  test('exits with 2 if its port is in use, and names the settings', async () => {
    const database = await ownDatabase()
    const first = await startProcess('api', { REDIS_URL: database.url })
    await becomesReady(first)
    const second = await startProcess('api', { REDIS_URL: database.url, PORT: new URL(first.apiUrl).port })
    expect(await second.exit).toBe(2)
    expect(second.output).toContain('cannot listen on API_HOST:PORT')
  })

  test('exits with 0 on SIGTERM while an event stream is open', async () => {
    const database = await ownDatabase()
    const api = await startProcess('api', { REDIS_URL: database.url })
    await becomesReady(api)
    const stream = await fetch(`${api.apiUrl}/api/events`)
    expect(stream.status).toBe(200)
    const text = stream.text()
    expect(await api.stop()).toBe(0)
    await text
    expect(api.output).toContain('api stopped')
    expect(api.output).not.toContain('Deprecation')
  })

  test('exits with 0 in time while a connection without a request is open', async () => {
    const database = await ownDatabase()
    const api = await startProcess('api', { REDIS_URL: database.url, SHUTDOWN_TIMEOUT_S: '10' })
    await becomesReady(api)
    const { hostname, port } = new URL(api.apiUrl)
    const unused = connect({ host: hostname, port: Number(port) })
    onTestFinished(() => void unused.destroy())
    await once(unused, 'connect')
    // The earlier connection has been accepted once this later one is answered.
    expect((await fetch(`${api.apiUrl}/livez`, { headers: { connection: 'close' } })).status).toBe(200)
    expect(await api.stop()).toBe(0)
  })
})

describe('cache-service all', () => {
  test('runs worker, api and kv-updater in one process with one set of metrics', async () => {
    const database = await ownDatabase()
    const topic = uniqueName('all')
    const errors = uniqueName('all-errors')
    await Promise.all([topic, errors].map((name) => createTopic(inject('kafkaBrokers'), name)))
    const all = await startProcess('all', {
      REDIS_URL: database.url,
      KAFKA_BOOTSTRAP_SERVERS: inject('kafkaBrokers').join(),
      KAFKA_VALIDATED_DATA_TOPIC: topic,
      KAFKA_ERROR_TOPIC: errors,
      KAFKA_CONSUMER_GROUP_ID: uniqueName('all'),
      REDIS_UPDATE_CHANNEL: topic,
    })
    await becomesReady(all)

    const producer = createSimulatedProducer({ brokers: inject('kafkaBrokers'), topic })
    onTestFinished(() => producer.disconnect())
    await producer.connect()
    const record = {
      device_id: 'd:1',
      timestamp: new Date().toISOString(),
      metadata: { datatype_unit: ['°C'] },
    }
    await producer.send([{ key: 'd:1', value: Buffer.from(JSON.stringify(record)), timestampMs: Date.now() }])
    await eventually(async () => {
      const reply = await fetch(`${all.apiUrl}/api/devices/d%3A1`)
      expect(await reply.json()).toMatchObject({ device_id: 'd:1', datatype_unit: ['°C'], persist: true })
    })
    expect(await database.client.exists('device:d:1:metadata')).toBe(1)

    await database.client.publish(topic, JSON.stringify({ type: 'all-test', values: [1] }))
    await eventually(async () => {
      const reply = await fetch(`${all.apiUrl}/api/state/all-test`)
      expect(await reply.json()).toMatchObject({ state: { 'all-test': { values: [1] } } })
    })
    await eventually(async () => {
      const workers = await (await fetch(`${all.apiUrl}/api/workers`)).json()
      expect(workers).toMatchObject({ workers: [{ state: 'consuming' }] })
    })

    const metrics = await (await fetch(`${all.healthUrl}/metrics`)).text()
    for (const name of ['messages_total', 'updates_total', 'http_requests_total', 'build_info{']) {
      expect(metrics).toContain(`cache_service_${name}`)
    }
    expect(metrics).toContain('role="all"')
    expect(await all.stop()).toBe(0)
  })

  test('exits with 2 if a setting keeps one of its roles from working', async () => {
    const database = await ownDatabase()
    const all = await startProcess('all', { REDIS_URL: database.url, API_HOST: '0.0.0.0' })
    expect(await all.exit).toBe(2)
    expect(all.output).toContain('API_AUTH is not set')
  })
})
