import type { Admin, Kafka } from 'kafkajs'
import { kafkaError } from '../../shared/errors.ts'
import { RETRY } from './client.ts'

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
        return await send(admin)
      } catch (error) {
        await disconnect().catch(() => undefined)
        throw kafkaError(error, topic)
      }
    },
    disconnect,
  }
}
