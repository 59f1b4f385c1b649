import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../eventually.ts'
import { reservePort } from './free-port.ts'
import { kafkaVersion } from './kafka-jars.ts'
import { assertKafkaReady } from './kafka-ready.ts'
import type { KafkaServer } from './native-kafka.ts'
import type { RedisServer } from './native-redis.ts'
import { pingRedis } from './redis-ping.ts'

/** The host at which containers' ports are reachable, or undefined if no Docker engine answers within 5 s. */
export async function findDockerHost(): Promise<string | undefined> {
  const runtime = process.env['XDG_RUNTIME_DIR'] ?? '/run/user/0'
  const signs = [
    '/var/run/docker.sock',
    join(runtime, 'docker.sock'),
    join(homedir(), '.docker', 'run', 'docker.sock'),
    join(homedir(), '.docker', 'desktop', 'docker.sock'),
    join(homedir(), '.testcontainers.properties'),
  ]
  if (!process.env['DOCKER_HOST'] && !signs.some((path) => existsSync(path))) return undefined
  const { getContainerRuntimeClient } = await import('testcontainers')
  try {
    const client = await Promise.race([getContainerRuntimeClient(), sleep(5_000, undefined, { ref: false })])
    return client?.info.containerRuntime.host
  } catch {
    return undefined
  }
}

export async function startKafkaContainer(dockerHost: string): Promise<KafkaServer> {
  const { GenericContainer } = await import('testcontainers')
  const reserved = await reservePort()
  // Any KAFKA_* variable replaces the image's whole default configuration.
  const container = await new GenericContainer(`apache/kafka:${kafkaVersion}`)
    .withExposedPorts({ container: 9092, host: reserved.port })
    .withEnvironment({
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      KAFKA_LISTENERS: 'CLIENTS://:9092,CONTROLLER://:9093,INTERNAL://:9094',
      KAFKA_ADVERTISED_LISTENERS: `CLIENTS://${dockerHost}:${reserved.port},INTERNAL://localhost:9094`,
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT',
      KAFKA_INTER_BROKER_LISTENER_NAME: 'INTERNAL',
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LOG_DIRS: '/tmp/kafka-logs',
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
      KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS: '1',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
      KAFKA_HEAP_OPTS: '-Xmx512m',
    })
    .start()
  const brokers = [`${dockerHost}:${reserved.port}`]
  const stop = async () => {
    await container.stop()
    await reserved.release()
  }
  try {
    await eventually(() => assertKafkaReady(brokers), { timeoutMs: 60_000, describe: 'Kafka in a container' })
  } catch (error) {
    await stop()
    throw error
  }
  return { kind: 'container', brokers, stop }
}

export async function startRedisContainer(host: string): Promise<RedisServer> {
  const { GenericContainer } = await import('testcontainers')
  const container = await new GenericContainer('redis:7-alpine').withExposedPorts(6379).start()
  const port = container.getMappedPort(6379)
  const stop = async () => {
    await container.stop()
  }
  try {
    await eventually(() => pingRedis({ host, port }), { describe: 'Redis in a container' })
  } catch (error) {
    await stop()
    throw error
  }
  return { kind: 'container', host, port, url: `redis://${host}:${port}`, password: undefined, stop }
}
