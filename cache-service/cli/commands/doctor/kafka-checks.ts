import { kafkaError, ServiceError } from '../../../../shared/errors.ts'
import type { Config } from '../../../config/config.ts'
import {
  asUnreachable,
  judgeErrorTopic,
  judgeRetention,
  judgeSessionTimeout,
  kafkaFinding,
  loginFix,
  type DoctorRole,
  type Finding,
} from '../../../core/doctor.ts'
import { includesLagMonitor, lagGroupsOf } from '../../../core/workers/lag-groups.ts'
import { judgeRecordTimes } from '../../../core/record-time-finding.ts'
import { brokerAddress } from '../../../kafka/broker-address.ts'
import { createKafkaPermissions, type KafkaPermissions } from '../../../kafka/kafka-permissions.ts'
import { createGroupReader } from '../../../kafka/group-reader.ts'
import { createLagOffsets } from '../../../kafka/partition-offsets.ts'
import { createGroupLagReader } from '../../../kafka/group-lag-reader.ts'
import { createTopicBounds, type TopicBounds } from '../../../kafka/topic-bounds.ts'
import { createKafka } from '../../../kafka/client.ts'
import type { Session } from '../../session.ts'
import { checkGroup } from './group-check.ts'
import { checkLagGroup } from './lag-group-checks.ts'
import { answersPlainly, logIn, loginRefused, PROTOCOL_FIX } from './kafka-login.ts'
import { probeAddress } from './probe-address.ts'

const SETTINGS = { address: 'KAFKA_BOOTSTRAP_SERVERS', tls: 'KAFKA_SSL' }

export async function checkKafka(
  session: Session,
  { cache, kafka: config, lagMonitor }: Config,
  role: DoctorRole,
): Promise<Finding[]> {
  const findings: Finding[] = []
  const bootstrap = await probeAll(session, config, config.brokers)
  findings.push(...bootstrap.findings)
  if (bootstrap.reached.length === 0) {
    return [
      ...findings.map(asUnreachable),
      kafkaFinding('skipped', 'login and topics', 'no broker can be reached'),
    ]
  }
  // One broker is enough to connect to the cluster.
  if (findings.some(({ verdict }) => verdict === 'failed')) {
    for (const [i, finding] of findings.entries()) {
      if (finding.verdict === 'failed') findings[i] = { ...finding, verdict: 'warning' }
    }
  }

  const brokers = bootstrap.reached
  const kafka = createKafka({ ...config, brokers }, session.log)
  const login = await logIn(kafka, brokers.length)
  if (login instanceof ServiceError) {
    findings.push(await loginRefused(login, config))
    return [...findings, kafkaFinding('skipped', 'topics', 'not logged in')]
  }
  const user = config.sasl?.username
  findings.push(kafkaFinding('ok', 'login', user === undefined ? 'not required (no SASL)' : `as ${user}`))
  const advertised = login.filter((address) => !config.brokers.includes(address))
  const cluster = await probeAll(session, config, advertised)
  findings.push(...cluster.findings.map(advertisedFinding))
  if (cluster.findings.some(({ verdict }) => verdict === 'failed')) {
    return [...findings, kafkaFinding('skipped', 'topics', 'not all brokers can be reached')]
  }

  const lagGroups = lagGroupsOf(role, config.groupId, lagMonitor)
  const reader = createGroupLagReader(kafka)
  session.releases.push('group lag reader', () => reader.disconnect())
  const fixForLag = (refusal: ServiceError, operation: string, resource: string) =>
    fixFor(refusal, aclFix(principalOf(config), operation, resource))
  for (const group of lagGroups) findings.push(...(await checkLagGroup({ reader, fixFor: fixForLag }, group)))

  const bounds = createTopicBounds(kafka)
  session.releases.push('topic bounds', () => bounds.disconnect())
  const readerGroup = {
    id: `${config.groupId}.${session.context.processId}.doctor`,
    sessionTimeoutMs: config.sessionTimeoutMs,
  }
  const permissions = createKafkaPermissions(kafka, readerGroup, bounds, session.context.monotonicNow)
  const context = {
    bounds,
    permissions,
    stop: session.stop,
    user: principalOf(config),
    now: session.context.now,
  }
  if (lagMonitor.canary !== undefined && includesLagMonitor(role, lagMonitor))
    findings.push(await checkWriting(context, config.validatedDataTopic, 'KAFKA_VALIDATED_DATA_TOPIC'))
  if (role === 'lag-monitor') return findings

  findings.push(...(await checkDataTopic(context, config, cache.metadataTtlMs)))
  findings.push(...(await checkErrorTopic(context, config.errorTopic)))
  findings.push(...(await checkWorkerGroup(session, kafka, config, context.user)))
  const limits = await bounds.sessionLimits(config.validatedDataTopic).catch(() => undefined)
  findings.push(judgeSessionTimeout(config.sessionTimeoutMs, limits))
  return findings
}

/** As the rules of ACLs write it. The name that a client certificate stands for depends on the settings of the broker. */
function principalOf({ sasl, tls }: Config['kafka']): string {
  return sasl?.username ?? (tls?.cert === undefined ? 'ANONYMOUS' : '<subject of KAFKA_SSL_CERT_FILE>')
}

type Context = {
  readonly bounds: TopicBounds
  readonly permissions: KafkaPermissions
  readonly stop: AbortSignal
  readonly user: string
  readonly now: () => number
}

async function checkDataTopic(context: Context, config: Config['kafka'], ttlMs: number): Promise<Finding[]> {
  const { bounds, now, permissions, stop, user } = context
  const topic = config.validatedDataTopic
  try {
    const partitions = await bounds.read(topic)
    const records = partitions.reduce((sum, { earliest, end }) => sum + end - earliest, 0)
    const found = kafkaFinding(
      'ok',
      `topic ${topic}`,
      `partitions: ${partitions.length}, records: ${records}`,
    )
    const answer = await permissions.read(topic, partitions, stop)
    const refusal = answer instanceof ServiceError ? answer : undefined
    const read =
      records === 0
        ? kafkaFinding('skipped', `reading ${topic}`, 'the topic is empty: there is no record to read')
        : judgeReading(refusal, topic, config.groupId, user)
    const newestMs = answer instanceof ServiceError || records === 0 ? undefined : [...answer.values()]
    const times = newestMs === undefined ? [] : [judgeRecordTimes(topic, newestMs, now(), ttlMs)]
    const settings = await bounds.settings(topic).catch(() => new Map<string, string>())
    return [found, read, ...times, judgeRetention(settings, ttlMs)]
  } catch (error) {
    return [topicFailure(error, topic, 'KAFKA_VALIDATED_DATA_TOPIC', user)]
  }
}

async function checkErrorTopic(context: Context, topic: string): Promise<Finding[]> {
  const { bounds, user } = context
  try {
    const partitions = await bounds.read(topic)
    const found = kafkaFinding('ok', `topic ${topic}`, `partitions: ${partitions.length}`)
    const write = await checkWriting(context, topic, 'KAFKA_ERROR_TOPIC')
    const settings = await bounds.settings(topic).catch(() => new Map<string, string>())
    return [found, write, judgeErrorTopic(settings)]
  } catch (error) {
    return [topicFailure(error, topic, 'KAFKA_ERROR_TOPIC', user)]
  }
}

async function checkWriting(
  { permissions, user }: Context,
  topic: string,
  setting: string,
): Promise<Finding> {
  const check = `writing ${topic}`
  try {
    const refusal = await permissions.write(topic)
    if (refusal === undefined) return kafkaFinding('ok', check, 'allowed')
    return kafkaFinding(
      'failed',
      check,
      refusal.message,
      fixFor(refusal, aclFix(user, 'Write', `--topic ${topic}`)),
    )
  } catch (error) {
    return topicFailure(error, topic, setting, user)
  }
}

async function checkWorkerGroup(
  session: Session,
  kafka: ReturnType<typeof createKafka>,
  { groupId, validatedDataTopic: topic }: Config['kafka'],
  user: string,
): Promise<Finding[]> {
  const group = createGroupReader(kafka, groupId)
  session.releases.push('group reader', () => group.disconnect())
  const offsets = createLagOffsets(kafka, topic, groupId)
  session.releases.push('offsets', () => offsets.disconnect())
  const fix = (refusal: ServiceError) => fixFor(refusal, aclFix(user, 'Read', `--group ${groupId}`))
  return await checkGroup({ topic, groupId, group, offsets, fixFor: fix })
}

function judgeReading(
  refusal: ServiceError | undefined,
  topic: string,
  groupId: string,
  user: string,
): Finding {
  const check = `reading ${topic}`
  if (refusal === undefined) return kafkaFinding('ok', check, 'allowed')
  if (refusal.code !== 'NOT_AUTHORIZED')
    return kafkaFinding('failed', check, refusal.message, loginFix(refusal, PROTOCOL_FIX))
  // The check read with its own group, not with the group of the workers.
  if (/group/i.test(refusal.message)) {
    const reason = `${user} may use only the group ${groupId} itself, which a worker may be using`
    return kafkaFinding('skipped', check, reason)
  }
  return kafkaFinding('failed', check, refusal.message, aclFix(user, 'Read', `--topic ${topic}`))
}

function topicFailure(error: unknown, topic: string, setting: string, user: string): Finding {
  const failure = kafkaError(error)
  const check = `topic ${topic}`
  switch (failure.code) {
    case 'TOPIC_MISSING':
      return kafkaFinding(
        'failed',
        check,
        'it does not exist',
        `Create it (kafka-topics.sh --create --topic ${topic} --partitions …), or correct ${setting}.`,
      )
    case 'NOT_AUTHORIZED':
      return kafkaFinding('failed', check, failure.message, aclFix(user, 'Describe', `--topic ${topic}`))
    default:
      return kafkaFinding('failed', check, failure.message, loginFix(failure, PROTOCOL_FIX))
  }
}

/** An ACL is the fix only of a denied permission. */
function fixFor(refusal: ServiceError, acl: string): string {
  return refusal.code === 'NOT_AUTHORIZED' ? acl : loginFix(refusal, PROTOCOL_FIX)
}

function aclFix(user: string, operation: string, resource: string): string {
  const principal = /^[\w.@-]+$/.test(user) ? `User:${user}` : `'User:${user}'`
  return `kafka-acls.sh --add --allow-principal ${principal} --operation ${operation} ${resource}`
}

async function probeAll({ context }: Session, { tls }: Config['kafka'], addresses: readonly string[]) {
  const probes = await Promise.all(
    addresses.map((address) => {
      const target = brokerAddress(address)
      return probeAddress(
        { area: 'kafka', ...target, tls, settings: SETTINGS, answersPlainly },
        context.now(),
      )
    }),
  )
  return {
    findings: probes.flatMap(({ findings }) => findings),
    reached: addresses.filter((_address, i) => probes[i]?.isReached === true),
  }
}

function advertisedFinding(finding: Finding): Finding {
  if (finding.verdict !== 'failed') return finding
  const detail = `${finding.detail}; the brokers advertise this address`
  // The address is right if a server answers there.
  if (finding.check.startsWith('TLS')) return { ...finding, detail }
  return {
    ...finding,
    detail,
    fix: 'Correct advertised.listeners of the broker, or make that address reachable from here.',
  }
}
