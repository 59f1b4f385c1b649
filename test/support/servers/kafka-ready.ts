import kafkajs from 'kafkajs'

const { Kafka, logLevel } = kafkajs

/** Rejects unless a broker answers now. */
export async function assertKafkaReady(brokers: readonly string[]): Promise<void> {
  const kafka = new Kafka({
    clientId: 'test-ready',
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    requestTimeout: 3_000,
    retry: { retries: 0, initialRetryTime: 50, maxRetryTime: 50 },
  })
  const admin = kafka.admin()
  try {
    await admin.connect()
    await admin.listTopics()
  } finally {
    await admin.disconnect()
  }
}
