import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { kafkaError, type ServiceError } from '../../../../shared/errors.ts'
import type { Config } from '../../../config/config.ts'
import { kafkaFinding, loginFix, type Finding } from '../../../core/doctor.ts'
import { brokerAddress } from '../../../kafka/broker-address.ts'
import { longestConnectMs, RETRY, type createKafka } from '../../../kafka/client.ts'
import { askListener, type ListenerFacts } from '../../../kafka/listener-probe.ts'
import { settledWithin } from '../../../lifecycle/sleep.ts'
import { onSocket, speaksTls, tlsOptions } from './probe-address.ts'

export const PROTOCOL_FIX =
  'Check that a Kafka broker listens there, and that KAFKA_SSL and KAFKA_SASL_MECHANISM match its listener.'

const ANSWER_TIMEOUT_MS = 2_000

type KafkaClient = ReturnType<typeof createKafka>

/** @param addresses the number of bootstrap addresses. @returns the advertised addresses of all brokers. */
export async function logIn(kafka: KafkaClient, addresses: number): Promise<string[] | ServiceError> {
  const admin = kafka.admin({ retry: { ...RETRY, retries: addresses } })
  const timeoutMs = longestConnectMs(addresses)
  const connecting = (async () => {
    await admin.connect()
    return (await admin.describeCluster()).brokers
  })()
  try {
    if (!(await settledWithin(connecting, timeoutMs))) {
      return kafkaError(new Error(`timed out: no answer within ${timeoutMs / 1000} s`))
    }
    return (await connecting).map(({ host, port }) => `${host}:${port}`)
  } catch (error) {
    return kafkaError(error)
  } finally {
    void admin.disconnect().catch(() => undefined)
  }
}

/** Asks the listener itself where KafkaJS reports no more than a closed connection. */
export async function loginRefused(error: ServiceError, config: Config['kafka']): Promise<Finding> {
  const failed = (detail: string, fix: string) => kafkaFinding('failed', 'login', detail, fix)
  for (const address of config.brokers) {
    const { host, port } = brokerAddress(address)
    const { sasl, tls } = config
    const facts =
      tls === undefined
        ? await onSocket(connectTcp({ host, port }), 'connect', askKafka)
        : await onSocket(connectTls({ host, port, ...tlsOptions(tls, host) }), 'secureConnect', askKafka)
    if (facts === undefined) {
      if (tls === undefined && (await speaksTls(host, port)))
        return failed(`${address} uses TLS`, 'Set KAFKA_SSL=true.')
      continue
    }
    const offered = facts.saslMechanisms?.map((one) => one.toLowerCase())
    if (offered === undefined && sasl !== undefined)
      return failed(
        `${address} does not use SASL`,
        'Unset KAFKA_SASL_MECHANISM, or use a listener with SASL.',
      )
    if (offered !== undefined && (sasl === undefined || !offered.includes(sasl.mechanism)))
      return failed(
        `${address} requires SASL with one of: ${offered.join(', ')}`,
        'Set KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD accordingly.',
      )
  }
  return failed(error.message, loginFix(error, PROTOCOL_FIX))
}

async function askKafka(socket: Socket): Promise<ListenerFacts | undefined> {
  return await askListener(socket, ANSWER_TIMEOUT_MS)
}

/** Whether a broker answers without TLS. */
export async function answersPlainly(socket: Socket): Promise<boolean> {
  return (await askKafka(socket)) !== undefined
}
