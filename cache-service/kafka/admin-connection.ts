import { setTimeout as delay } from 'node:timers/promises'
import type { Admin, Kafka } from 'kafkajs'
import { kafkaError } from '../../shared/errors.ts'
import { RETRY } from './client.ts'

/**
 * KafkaJS asks the coordinator of a group only once. One that was chosen just now, as by the first use of a group on a new broker,
 * answers one of these until it has loaded the group.
 */
const COORDINATOR_NOT_READY = new Set([
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
])
const COORDINATOR_TRIES = 20
const COORDINATOR_RETRY_MS = 250

/** An admin client that connects on first use, and reconnects after a failure. */
export type AdminConnection = {
  /** Rejects with a ServiceError. @param topic the topic that the request is about, if it is about one. */
  request<T>(topic: string | undefined, send: (admin: Admin) => Promise<T>): Promise<T>
  disconnect(): Promise<void>
}

/** @param prepare called with each new client. */
export function createAdminConnection(
  kafka: Kafka,
  prepare: (admin: Admin) => void = () => undefined,
): AdminConnection {
  let connected: Promise<Admin> | undefined

  async function connect(): Promise<Admin> {
    const admin = kafka.admin({ retry: RETRY })
    prepare(admin)
    await admin.connect()
    return admin
  }

  async function disconnect(): Promise<void> {
    const admin = await connected?.catch(() => undefined)
    connected = undefined
    await admin?.disconnect()
  }

  return {
    async request(topic, send) {
      try {
        connected ??= connect()
        const admin = await connected
        return await whenCoordinatorIsReady(() => send(admin))
      } catch (error) {
        await disconnect().catch(() => undefined)
        throw kafkaError(error, topic)
      }
    },
    disconnect,
  }
}

async function whenCoordinatorIsReady<T>(send: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await send()
    } catch (error) {
      const isReady = !(
        error instanceof Error &&
        'type' in error &&
        COORDINATOR_NOT_READY.has(String(error.type))
      )
      if (isReady || tries === COORDINATOR_TRIES) throw error
      await delay(COORDINATOR_RETRY_MS)
    }
  }
}
