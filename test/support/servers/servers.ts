// Real servers for tests, demo and benchmarks. Unless a test starts its own, they are looked for in this order:
//   1. addresses in the environment: TEST_KAFKA=host:port[,host:port…], TEST_REDIS=redis://…
//   2. containers, if a Docker engine answers
//   3. native processes: redis-server from PATH; Kafka's jars, fetched by Maven and run by Java
// A test that needs a server and finds none fails, with an error that says what to install.
import { messageOf } from '../../../shared/errors.ts'
import { findDockerHost, startKafkaContainer, startRedisContainer } from './containers.ts'
import { whyNoNativeKafka } from './kafka-jars.ts'
import { assertKafkaReady } from './kafka-ready.ts'
import { startOwnKafka, type KafkaServer } from './native-kafka.ts'
import { startOwnRedis, whyNoNativeRedis, type RedisServer } from './native-redis.ts'
import { pingRedis } from './redis-ping.ts'

export {
  reserveOwnKafka,
  reserveOwnKafkaCluster,
  startOwnKafka,
  type KafkaServer,
  type OwnKafka,
  type OwnKafkaOptions,
} from './native-kafka.ts'
export type { KafkaSecurity, KafkaUsers } from './kafka-properties.ts'
export {
  reserveOwnRedis,
  startOwnRedis,
  type OwnRedis,
  type OwnRedisOptions,
  type RedisServer,
} from './native-redis.ts'

export async function startKafka(): Promise<KafkaServer> {
  const addresses = process.env['TEST_KAFKA']
  if (addresses) return await useKafkaAt(addresses)
  return await startFirstAvailable('Kafka', {
    container: startKafkaContainer,
    native: startOwnKafka,
    whyNoNative: whyNoNativeKafka,
    variable: 'TEST_KAFKA=host:port',
  })
}

export async function startRedis(): Promise<RedisServer> {
  const address = process.env['TEST_REDIS']
  if (address) return await useRedisAt(address)
  return await startFirstAvailable('Redis', {
    container: startRedisContainer,
    native: startOwnRedis,
    whyNoNative: whyNoNativeRedis,
    variable: 'TEST_REDIS=redis://host:port',
  })
}

async function startFirstAvailable<Server>(
  name: string,
  ways: {
    container(dockerHost: string): Promise<Server>
    native(): Promise<Server>
    whyNoNative(): Promise<string | undefined>
    variable: string
  },
): Promise<Server> {
  const dockerHost = await findDockerHost()
  let noContainer = 'no Docker engine answers'
  if (dockerHost !== undefined) {
    try {
      return await ways.container(dockerHost)
    } catch (error) {
      noContainer = `the container did not start: ${messageOf(error)}`
    }
  }
  const noNative = await ways.whyNoNative()
  if (noNative === undefined) return await ways.native()
  throw new Error(
    [
      `No ${name} for the tests. Run \`make install\`, start Docker, or set ${ways.variable}.`,
      `  container: ${noContainer}`,
      `  native: ${noNative}`,
    ].join('\n'),
  )
}

async function useKafkaAt(addresses: string): Promise<KafkaServer> {
  const brokers = addresses.split(',').map((address) => address.trim())
  try {
    await assertKafkaReady(brokers)
  } catch (error) {
    throw new Error(`No Kafka answers at TEST_KAFKA=${addresses}`, { cause: error })
  }
  return { kind: 'environment', brokers, stop: async () => undefined }
}

async function useRedisAt(address: string): Promise<RedisServer> {
  const { hostname, port: portText, username, password: encodedPassword } = new URL(address)
  const port = Number(portText || 6379)
  const password = encodedPassword === '' ? undefined : decodeURIComponent(encodedPassword)
  try {
    await pingRedis({ host: hostname, port, username: username || undefined, password })
  } catch (error) {
    const reason = messageOf(error)
    throw new Error(`No Redis answers at TEST_REDIS (${hostname}:${port}): ${reason}`, { cause: error })
  }
  return { kind: 'environment', host: hostname, port, url: address, password, stop: async () => undefined }
}
