import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { KafkaConfig } from 'kafkajs'
import { reservePort } from './free-port.ts'
import { fetchKafkaJars, javaCommand, kafkaJarsFolder, whyNoNativeKafka } from './kafka-jars.ts'
import {
  brokerProperties,
  clientSecurity,
  scramFormatArgs,
  usesTls,
  type BrokerAddress,
  type KafkaSecurity,
  type KafkaUsers,
} from './kafka-properties.ts'
import { assertKafkaReady } from './kafka-ready.ts'
import { openServerFolder, ServerProcess, type OwnServer } from './server-process.ts'
import { createTlsFiles, type TlsFiles } from './tls-certificates.ts'

const run = promisify(execFile)

export type KafkaServer = {
  kind: 'environment' | 'container' | 'native'
  brokers: readonly string[]
  stop(): Promise<void>
}

export type OwnKafkaOptions = {
  /** Default: a free port, kept across restarts. */
  port?: number
  /** The port that is advertised to clients, such as a proxy's. Default: the port itself. */
  advertisedPort?: number
  /** Further server.properties; they override the defaults. */
  properties?: Readonly<Record<string, string>>
  security?: KafkaSecurity
  /** Default with SASL: `{ alice: 'alice-secret' }`. */
  users?: KafkaUsers
  /** Number of brokers of a cluster that are also controllers; the others can stop without an effect on the quorum. */
  controllers?: number
  /** They override the defaults (`-Xmx512m`, C1 compiler only: benchmarks should use `-XX:TieredStopAtLevel=4`). */
  jvmArgs?: readonly string[]
}

/** A broker that a test may break. Its folder survives restarts. */
export type OwnKafka = KafkaServer &
  OwnServer & {
    readonly port: number
    /** Always plaintext, without login, bypassing `advertisedPort`: for inspecting the broker. */
    readonly internalBrokers: readonly string[]
    readonly controllerPort: number
    /** The CA certificate (PEM), with TLS. */
    readonly ca: string | undefined
    readonly users: KafkaUsers
    /** For `new Kafka({ brokers, ...client })`: logs in as the first user. */
    readonly client: Pick<KafkaConfig, 'ssl' | 'sasl'>
  }

export async function startOwnKafka(options: OwnKafkaOptions = {}): Promise<OwnKafka> {
  const kafka = await reserveOwnKafka(options)
  try {
    await kafka.start()
    return kafka
  } catch (error) {
    await kafka.stop()
    throw error
  }
}

/** Prepares everything except the process: addresses and certificates are known; `start()` starts the broker. */
export async function reserveOwnKafka(options: OwnKafkaOptions = {}): Promise<OwnKafka> {
  const [kafka] = await reserveOwnKafkaCluster(1, options)
  if (kafka === undefined) throw new Error('a cluster of one has a broker')
  return kafka
}

/**
 * Brokers that form one cluster (do not set `port` and `advertisedPort`, which are for one broker). Start them together:
 * none is ready before the quorum is.
 */
export async function reserveOwnKafkaCluster(
  size: number,
  options: OwnKafkaOptions = {},
): Promise<OwnKafka[]> {
  const missing = await whyNoNativeKafka()
  if (missing !== undefined) throw new Error(`${missing}, or run \`make install\``)
  await fetchKafkaJars()
  await prepareClassArchive()
  const reserved = await Promise.all(
    Array.from({ length: size }, (_, index) => reserveAddress(index + 1, options)),
  )
  const addresses = reserved.map(({ address }) => address)
  const tlsFolder = usesTls(options.security ?? 'plaintext') ? openServerFolder('test-kafka-tls') : undefined
  const tls = tlsFolder && (await createTlsFiles(tlsFolder.path))
  let left = size
  return await Promise.all(
    reserved.map(({ address, release }) => {
      const releaseShared = async () => {
        await release()
        if (--left === 0) await tlsFolder?.remove()
      }
      return createBroker(address, addresses, releaseShared, options, tls)
    }),
  )
}

type ReservedAddress = { address: BrokerAddress; release(): Promise<void> }

async function reserveAddress(nodeId: number, options: OwnKafkaOptions): Promise<ReservedAddress> {
  const [clients, internal, controller] = await Promise.all([reservePort(), reservePort(), reservePort()])
  const port = options.port ?? clients.port
  return {
    address: {
      nodeId,
      port,
      advertisedPort: options.advertisedPort ?? port,
      internalPort: internal.port,
      controllerPort: controller.port,
    },
    release: async () => {
      await Promise.all([clients.release(), internal.release(), controller.release()])
    },
  }
}

async function createBroker(
  address: BrokerAddress,
  cluster: readonly BrokerAddress[],
  release: () => Promise<void>,
  options: OwnKafkaOptions,
  tls?: TlsFiles,
): Promise<OwnKafka> {
  const { controllers = cluster.length, security = 'plaintext', jvmArgs = [], properties = {} } = options
  const users = options.users ?? (security.startsWith('sasl_') ? { alice: 'alice-secret' } : {})
  const folder = openServerFolder('test-kafka')
  const path = (name: string) => join(folder.path, name)
  const keystorePath = path('keystore.pem')
  if (tls !== undefined) {
    const [key, certificate] = [tls.serverKeyPath, tls.serverCertificatePath].map((file) =>
      readFileSync(file),
    )
    writeFileSync(keystorePath, `${key}${certificate}${tls.ca}`)
  }
  const dataFolder = path('data')
  writeFileSync(
    path('server.properties'),
    brokerProperties({
      ...{ address, cluster, controllers, dataFolder, security, users, tls, keystorePath, properties },
    }),
  )
  const internalBrokers = [`127.0.0.1:${address.internalPort}`]
  const server = new ServerProcess({
    name: `Kafka on port ${address.port}`,
    command: javaCommand(),
    args: [...jvm(...jvmArgs), 'kafka.Kafka', path('server.properties')],
    folder: folder.path,
    readyTimeoutMs: 60_000,
    checkReady: () => assertKafkaReady(internalBrokers),
  })
  const format = async () => {
    if (existsSync(dataFolder)) return
    mkdirSync(dataFolder)
    const scram = scramFormatArgs(security, users)
    const args = ['format', '-t', CLUSTER_ID, '-c', path('server.properties'), ...scram]
    await run(javaCommand(), [...jvm(), 'kafka.tools.StorageTool', ...args])
  }
  return {
    kind: 'native',
    brokers: [`127.0.0.1:${address.port}`],
    port: address.port,
    internalBrokers,
    controllerPort: address.controllerPort,
    folder: folder.path,
    users,
    tls,
    ca: tls?.ca,
    // A new object each time: KafkaJS stores the login, including the password, in the given object.
    get client() {
      return clientSecurity(security, users, tls)
    },
    get pid() {
      return server.pid
    },
    get isRunning() {
      return server.isRunning
    },
    get log() {
      return server.log
    },
    start: async (startOptions) => {
      await format()
      await server.start(startOptions)
    },
    kill: (signal) => server.kill(signal),
    restart: async (startOptions) => {
      await format()
      await server.restart(startOptions)
    },
    stop: async () => {
      await server.kill('SIGKILL')
      await folder.remove()
      await release()
    },
  }
}

// Any id works, but the brokers of one cluster must have the same one.
const CLUSTER_ID = '4L6g3nShT-eMCtK--X86sw'

// The JVM archives the classes that a starting broker loads, once (about 6 s), and maps the archive at every later
// start: 1.3 s instead of 3.1 s until the broker listens. It ignores an archive that does not match.
const classArchive = join(kafkaJarsFolder, 'broker-classes.jsa')

async function prepareClassArchive(): Promise<void> {
  if (existsSync(classArchive)) return
  const { address, release } = await reserveAddress(1, {})
  const broker = await createBroker(address, [address], release, {
    jvmArgs: [`-XX:ArchiveClassesAtExit=${classArchive}.${process.pid}`],
  })
  try {
    await broker.start()
    await broker.kill('SIGTERM')
    renameSync(`${classArchive}.${process.pid}`, classArchive)
  } finally {
    await broker.stop()
  }
}

function jvm(...args: readonly string[]): string[] {
  const archive = existsSync(classArchive) ? [`-XX:SharedArchiveFile=${classArchive}`] : []
  const quickStart = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', ...archive]
  const logging = ['-Dorg.slf4j.simpleLogger.defaultLogLevel=warn']
  return ['-Xmx512m', ...quickStart, ...logging, ...args, '-cp', join(kafkaJarsFolder, '*')]
}
