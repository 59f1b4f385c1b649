import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KafkaConfig } from 'kafkajs'
import { repository } from '../repository.ts'
import type { TlsFiles } from './tls-certificates.ts'

export type KafkaSecurity =
  'plaintext' | 'tls' | 'sasl_plain' | 'sasl_scram_256' | 'sasl_scram_512' | 'sasl_tls'

/** Passwords by user name. */
export type KafkaUsers = Readonly<Record<string, string>>

export type BrokerAddress = {
  nodeId: number
  port: number
  advertisedPort: number
  internalPort: number
  controllerPort: number
}

const template = join(repository, 'deploy', 'local', 'kafka', 'server.properties')

const SECURITY = {
  plaintext: { protocol: 'PLAINTEXT', mechanism: undefined },
  tls: { protocol: 'SSL', mechanism: undefined },
  sasl_plain: { protocol: 'SASL_PLAINTEXT', mechanism: 'PLAIN' },
  sasl_scram_256: { protocol: 'SASL_PLAINTEXT', mechanism: 'SCRAM-SHA-256' },
  sasl_scram_512: { protocol: 'SASL_PLAINTEXT', mechanism: 'SCRAM-SHA-512' },
  sasl_tls: { protocol: 'SASL_SSL', mechanism: 'PLAIN' },
} as const satisfies Record<KafkaSecurity, { protocol: string; mechanism: string | undefined }>

export function usesTls(security: KafkaSecurity): boolean {
  return security === 'tls' || security === 'sasl_tls'
}

export function brokerProperties(broker: {
  address: BrokerAddress
  cluster: readonly BrokerAddress[]
  /** The first ones of the cluster are controllers, too. */
  controllers: number
  dataFolder: string
  security: KafkaSecurity
  users: KafkaUsers
  tls: TlsFiles | undefined
  keystorePath: string
  properties: Readonly<Record<string, string>>
}): string {
  const { address, cluster, controllers, security } = broker
  const filled = fillTemplate({
    port: String(address.port),
    advertisedPort: String(address.advertisedPort),
    internalPort: String(address.internalPort),
    controllerPort: String(address.controllerPort),
    protocol: SECURITY[security].protocol,
    dataFolder: broker.dataFolder,
  })
  const voters = cluster
    .slice(0, controllers)
    .map(({ nodeId, controllerPort }) => `${nodeId}@127.0.0.1:${controllerPort}`)
  const replicas = String(Math.min(cluster.length, 3))
  const membership: Record<string, string> =
    cluster.length === 1
      ? {}
      : {
          'node.id': String(address.nodeId),
          'controller.quorum.voters': voters.join(','),
          'offsets.topic.replication.factor': replicas,
          'transaction.state.log.replication.factor': replicas,
        }
  const onlyBroker: Record<string, string> =
    address.nodeId <= controllers
      ? {}
      : {
          'process.roles': 'broker',
          listeners: `CLIENTS://127.0.0.1:${address.port},INTERNAL://127.0.0.1:${address.internalPort}`,
        }
  const added = {
    ...membership,
    ...onlyBroker,
    ...tlsProperties(broker.tls, broker.keystorePath),
    ...saslProperties(SECURITY[security].mechanism, broker.users),
    ...broker.properties,
  }
  // If a property occurs twice, the last one wins.
  return [filled, ...Object.entries(added).map(([name, value]) => `${name}=${value}`), ''].join('\n')
}

/** The options for `new Kafka({ brokers, ...clientSecurity })` that log in as the first user. */
export function clientSecurity(
  security: KafkaSecurity,
  users: KafkaUsers,
  tls: TlsFiles | undefined,
): Pick<KafkaConfig, 'ssl' | 'sasl'> {
  const ssl = tls === undefined ? {} : { ssl: { ca: [tls.ca] } }
  const [username = '', password = ''] = Object.entries(users)[0] ?? []
  switch (SECURITY[security].mechanism) {
    case undefined:
      return ssl
    case 'PLAIN':
      return { ...ssl, sasl: { mechanism: 'plain', username, password } }
    case 'SCRAM-SHA-256':
      return { ...ssl, sasl: { mechanism: 'scram-sha-256', username, password } }
    case 'SCRAM-SHA-512':
      return { ...ssl, sasl: { mechanism: 'scram-sha-512', username, password } }
  }
}

/** SCRAM users are added to the cluster's metadata when the storage is formatted. */
export function scramFormatArgs(security: KafkaSecurity, users: KafkaUsers): string[] {
  const { mechanism } = SECURITY[security]
  if (mechanism !== 'SCRAM-SHA-256' && mechanism !== 'SCRAM-SHA-512') return []
  return Object.entries(users).flatMap(([name, password]) => [
    '--add-scram',
    `${mechanism}=[name=${name},password=${password}]`,
  ])
}

function fillTemplate(values: Readonly<Record<string, string>>): string {
  return readFileSync(template, 'utf8').replaceAll(/\$\{(\w+)\}/g, (placeholder, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`no value for ${placeholder} in ${template}`)
    return value
  })
}

function tlsProperties(tls: TlsFiles | undefined, keystorePath: string): Record<string, string> {
  if (tls === undefined) return {}
  return {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keystorePath,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': tls.caPath,
  }
}

function saslProperties(mechanism: string | undefined, users: KafkaUsers): Record<string, string> {
  if (mechanism === undefined) return {}
  const listener = 'listener.name.clients'
  const plainUsers = Object.entries(users).map(([name, password]) => ` user_${name}="${password}"`)
  const login =
    mechanism === 'PLAIN'
      ? `org.apache.kafka.common.security.plain.PlainLoginModule required${plainUsers.join('')};`
      : 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  return {
    [`${listener}.sasl.enabled.mechanisms`]: mechanism,
    [`${listener}.${mechanism.toLowerCase()}.sasl.jaas.config`]: login,
  }
}
