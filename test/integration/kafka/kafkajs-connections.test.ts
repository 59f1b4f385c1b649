import { connect } from 'node:net'
import type { Admin, KafkaConfig } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { brokerAddress } from '../../../cache-service/kafka/broker-address.ts'
import { kafkajs } from '../../../cache-service/kafka/kafkajs.ts'
import { eventually } from '../../support/eventually.ts'
import { clientSecurity } from '../../support/servers/kafka-properties.ts'
import { startNetworkProxy, type NetworkProxy } from '../../support/servers/network-proxy.ts'
import { startOwnKafka, type OwnKafka } from '../../support/servers/servers.ts'

// A connection that ends, or falls silent, after any number of bytes. An error outside of any promise fails the whole run.

const TIMEOUT_MS = 1_000
const SECURITY = 'sasl_scram_256'

let secured: OwnKafka
beforeAll(async () => {
  secured = await startOwnKafka({ security: SECURITY })
})
afterAll(() => secured.stop())

type Client = { readonly proxy: NetworkProxy; open(): Admin }

/** All connections, also to the advertised addresses, lead through the proxy. */
async function clientBehindProxy(broker: string, config: Partial<KafkaConfig> = {}): Promise<Client> {
  const { host, port } = brokerAddress(broker)
  const proxy = await startNetworkProxy({ host, port })
  onTestFinished(() => proxy.stop())
  const kafka = new kafkajs.Kafka({
    brokers: [broker],
    logLevel: kafkajs.logLevel.NOTHING,
    connectionTimeout: TIMEOUT_MS,
    requestTimeout: TIMEOUT_MS,
    retry: { retries: 0 },
    socketFactory: ({ onConnect }) => connect({ host: proxy.host, port: proxy.port }, onConnect),
    ...config,
  })
  return { proxy, open: () => kafka.admin() }
}

/** How many bytes reach a client that connects and lists the topics. */
async function bytesOf({ open, proxy }: Client): Promise<number> {
  let bytes = 0
  proxy.corrupt = (some) => (bytes += some.length)
  const admin = open()
  await admin.connect()
  await admin.listTopics()
  await admin.disconnect()
  proxy.corrupt = () => undefined
  return bytes
}

/** KafkaJS may need another attempt to notice that its last broker has gone. */
async function listsTopics(admin: Admin): Promise<void> {
  await eventually(async () => {
    await admin.connect()
    await admin.listTopics()
  })
}

const outcomeOf = async (promise: Promise<unknown>): Promise<unknown> =>
  await promise.catch((error: unknown) => error)

describe.each([
  ['without a login', () => inject('kafkaBrokers')[0] ?? '', () => ({})],
  [
    'with a login',
    () => secured.brokers[0] ?? '',
    () => clientSecurity(SECURITY, secured.users, secured.tls),
  ],
] as const)('a client %s', (_, broker, config) => {
  test('works on a new connection, whatever had arrived of a response on the last one', async () => {
    const client = await clientBehindProxy(broker(), config())
    const total = await bytesOf(client)
    for (let missing = 0; missing < total; missing += 11) {
      const admin = client.open()
      client.proxy.limit = () => ({ toClient: total - missing })
      await outcomeOf(admin.connect().then(() => admin.listTopics()))
      client.proxy.limit = () => ({})
      await listsTopics(admin)
      await admin.disconnect()
    }
  })

  test('gives up a connection that falls silent at any time, and works on a new one', async () => {
    const client = await clientBehindProxy(broker(), config())
    const total = await bytesOf(client)
    const moments = [0, 1, 2, 3, 4, 5].map((n) => Math.floor((n * total) / 6))
    await Promise.all(
      moments.map(async (moment) => {
        const one = await clientBehindProxy(broker(), config())
        let bytes = 0
        one.proxy.corrupt = (some) => {
          bytes += some.length
          if (bytes >= moment) one.proxy.become('half_open')
        }
        const admin = one.open()
        expect(
          await outcomeOf(admin.connect().then(() => admin.listTopics())),
          `at ${moment}`,
        ).toBeInstanceOf(Error)
        one.proxy.corrupt = () => undefined
        await listsTopics(admin)
        await admin.disconnect()
      }),
    )
  })
})

test('bytes that are no response of Kafka end the connection, and nothing else', async () => {
  const client = await clientBehindProxy(inject('kafkaBrokers')[0] ?? '')
  for (const size of [0, 3, -1, -2_147_483_648]) {
    const admin = client.open()
    await admin.connect()
    client.proxy.corrupt = (bytes) => void bytes.writeInt32BE(size)
    expect(await outcomeOf(admin.listTopics())).toMatchObject({
      message: expect.stringMatching(/not a response of Kafka/),
    })
    client.proxy.corrupt = () => undefined
    await listsTopics(admin)
    await admin.disconnect()
  }
})
