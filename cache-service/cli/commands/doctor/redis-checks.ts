import { once } from 'node:events'
import type { Socket } from 'node:net'
import { redisError, ServiceError } from '../../../../shared/errors.ts'
import { progressKey } from '../../../../shared/contract/keys.ts'
import type { Config } from '../../../config/config.ts'
import {
  asUnreachable,
  fixOf,
  judgeFixedKeys,
  judgeRedis,
  loginFix,
  redisFinding,
  type DoctorRole,
  type Finding,
} from '../../../core/doctor.ts'
import { judgeVersions } from '../../../core/cluster-health.ts'
import { fixedKeys, type FixedKey } from '../../../core/fixed-keys.ts'
import { isUnreachable, MASTER_FIX } from '../../../core/operator-hint.ts'
import { createRedis, onNewConnection, serverName } from '../../../redis/client.ts'
import { askMasters } from '../../../redis/cluster/each-master.ts'
import { SlotTable } from '../../../redis/cluster/slots.ts'
import { isCluster, type RedisClient, type SingleServer } from '../../../redis/redis-client.ts'
import { readRedisFacts } from '../../../redis/server-facts.ts'
import { findMistypedKeys, findScriptRefusal } from '../../../redis/server-check.ts'
import { createServerStatsReader } from '../../../redis/server-stats.ts'
import type { Session } from '../../session.ts'
import { checkCluster } from './cluster-checks.ts'
import { checkConfiguredNodes } from './configured-nodes.ts'
import { mergeNodes } from './merge-nodes.ts'
import { checkPermissions } from './permission-checks.ts'
import { probeAddress, speaksTls, type AddressProbe } from './probe-address.ts'

const SENTINEL_SETTINGS = { address: 'REDIS_SENTINELS', tls: 'REDIS_SENTINEL_TLS' }
const CLUSTER_SETTINGS = { address: 'REDIS_CLUSTER_NODES', tls: 'REDIS_TLS' }
const SETTINGS = { address: 'REDIS_HOST and REDIS_PORT, or REDIS_URL', tls: 'REDIS_TLS' }

export async function checkRedis(session: Session, config: Config, role: DoctorRole): Promise<Finding[]> {
  const probe = await probeLocation(config.redis, session.context.now())
  if (!probe.isReached) return [...probe.findings.map(asUnreachable), ...skipped("Redis can't be reached")]
  const { context } = session
  let refusal: ServiceError | undefined
  const redis = createRedis(
    config.redis,
    undefined,
    { redisConnected: () => undefined, redisFailed: (error) => (refusal ??= error) },
    context.random,
  )
  session.releases.push('Redis for the doctor', () => redis.disconnect())
  try {
    await redis.connect()
    // A missing password is reported only here. A user who may not PING has logged in nevertheless.
    await createServerStatsReader(redis).ping()
  } catch (error) {
    const failure = redisError(error)
    if (failure.code !== 'NOPERM') refusal ??= failure
  }
  if (refusal !== undefined && refusal.code !== 'NOPERM') {
    return [...probe.findings, await loginRefused(refusal, config), ...skipped('not logged in')]
  }
  const user = config.redis.username ?? 'default'
  if (refusal !== undefined && isCluster(redis) && SlotTable.of(redis).owners.knownSlotsByMaster.size === 0) {
    const fix = `On every node: redis-cli ACL SETUSER ${user} +cluster|slots`
    return [
      ...probe.findings,
      redisFinding('failed', 'login', refusal.message, fix),
      ...skipped('no node is known'),
    ]
  }
  const database = isCluster(redis) ? '' : `, database ${config.redis.db}`
  const findings = [
    ...probe.findings,
    redisFinding('ok', 'login', `at ${serverName(redis)} as ${user}${database}`),
  ]
  /** The masters whose failure is a finding already. */
  const reported = new Set<string>()
  if (isCluster(redis)) {
    findings.push(...(await checkConfiguredNodes(config.redis, context.random)))
    const cluster = await checkCluster(redis)
    findings.push(...cluster.findings)
    for (const address of cluster.failed) reported.add(reachableName(address, config.redis))
  }
  const asked = await askMasters(redis, (server) => factsOf(server, context.now))
  findings.push(
    ...judgeVersions(asked.flatMap(({ answer }) => ('version' in answer ? [answer.version] : []))),
  )
  const judged = asked.map(({ answer, name }) => ({
    node: name,
    findings:
      answer instanceof ServiceError
        ? [unknownServer(answer, isCluster(redis) && !reported.has(name))]
        : judgeRedis(answer, role, isCluster(redis)),
  }))
  findings.push(...(isCluster(redis) ? mergeNodes(judged, 'masters') : judged.flatMap((one) => one.findings)))
  const scripts = isCluster(redis)
    ? await findScriptRefusal(redis)
    : await onNewConnection(redis, async (one) => await findScriptRefusal(one))
  if (scripts !== undefined && scripts.code !== 'NOPERM') {
    const isAway = isCluster(redis) && isUnreachable(scripts)
    // The other masters run them: the one that is away is reported as such.
    if (isAway && asked.some(({ answer }) => answer instanceof ServiceError && isUnreachable(answer)))
      findings.push(redisFinding('skipped', 'scripts', scripts.message))
    else findings.push(redisFinding('failed', 'scripts', scripts.message, scriptsFix(scripts, redis)))
  }
  const keys = isCluster(redis)
    ? await findMistypedKeys(redis, allFixedKeys(config)).catch(redisError)
    : await onNewConnection(redis, (one) => findMistypedKeys(one, allFixedKeys(config)))
  if (keys instanceof ServiceError && keys.code !== 'NOPERM')
    findings.push(redisFinding('skipped', 'keys', `their types are unknown: ${keys.message}`))
  else findings.push(...judgeFixedKeys(keys instanceof ServiceError ? undefined : keys))
  findings.push(...(await checkPermissions(redis, config, role, context.processId)))
  return findings
}

/** On a connection of its own: a proxy may close one at a command that it does not know. */
async function factsOf(server: SingleServer, now: () => number) {
  const facts = await onNewConnection(server, (one) => readRedisFacts(one, now))
  if (facts instanceof ServiceError) throw facts
  return facts
}

/** Of several Sentinels or nodes of a Cluster, one that can be reached suffices; the addresses that they name are tried by the login. */
async function probeLocation({ location, tls }: Config['redis'], nowMs: number): Promise<AddressProbe> {
  if (location.kind === 'address') {
    const { host, port } = location
    return await probeAddress({ area: 'redis', host, port, tls, settings: SETTINGS, answersPlainly }, nowMs)
  }
  const several =
    location.kind === 'sentinels'
      ? { addresses: location.sentinels, tls: location.tls, settings: SENTINEL_SETTINGS }
      : { addresses: location.nodes, tls, settings: CLUSTER_SETTINGS }
  const probes = await Promise.all(
    several.addresses.map(({ host, port }) =>
      probeAddress(
        { area: 'redis', host, port, tls: several.tls, settings: several.settings, answersPlainly },
        nowMs,
      ),
    ),
  )
  const isReached = probes.some((probe) => probe.isReached)
  const findings = probes.flatMap((probe) => probe.findings)
  return {
    isReached,
    findings: isReached ? findings.map(asWarning) : findings,
  }
}

function asWarning(finding: Finding): Finding {
  return finding.verdict === 'failed' ? { ...finding, verdict: 'warning' } : finding
}

/** Of all roles: they share the server. */
function allFixedKeys({ kafka }: Config): FixedKey[] {
  const progress = progressKey(kafka.groupId, kafka.validatedDataTopic)
  const keys = [...fixedKeys.worker(progress), ...fixedKeys.api(), ...fixedKeys['kv-updater']()]
  return [...new Set(keys)]
}

function unknownServer({ code, message }: ServiceError, isFailure: boolean): Finding {
  const detail = `INFO is not answered: ${message}`
  return isFailure && code !== 'NOPERM'
    ? redisFinding('failed', 'server', detail, `${MASTER_FIX}.`)
    : redisFinding('skipped', 'server', detail)
}

/** Where a node of a Cluster can be reached. @param address as the nodes know each other. */
function reachableName(address: string, { location }: Config['redis']): string {
  const mapped = location.kind === 'cluster' ? location.natMap?.[address] : undefined
  return mapped === undefined ? address : `${mapped.host}:${mapped.port}`
}

function scriptsFix(refusal: ServiceError, redis: RedisClient): string {
  return isCluster(redis) ? fixOf(refusal, CLUSTER_PROTOCOL_FIX) : loginFix(refusal, PROTOCOL_FIX)
}

const PROTOCOL_FIX =
  'Check that a Redis server listens on REDIS_PORT, check REDIS_DB and REDIS_TLS, and read the log of the server.'

const CLUSTER_PROTOCOL_FIX =
  'Check that REDIS_CLUSTER_NODES names nodes of a Redis Cluster, check REDIS_TLS, and read the logs of the nodes.'

const NAMED_FIX =
  'Check that this machine can reach that address (`sentinel announce-ip` and `replica-announce-ip` set it), and check REDIS_TLS.'

async function loginRefused(error: ServiceError, { redis }: Config): Promise<Finding> {
  const { location } = redis
  if (location.kind === 'cluster')
    return redisFinding('failed', 'login', error.message, fixOf(error, CLUSTER_PROTOCOL_FIX))
  if (location.kind === 'sentinels' && isUnreachable(error))
    return redisFinding('failed', 'login', `the primary that the Sentinels name: ${error.message}`, NAMED_FIX)
  if (location.kind === 'address' && redis.tls === undefined && isUnreachable(error)) {
    if (await speaksTls(location.host, location.port))
      return redisFinding('failed', 'login', 'the server uses TLS', 'Set REDIS_TLS=true.')
  }
  return redisFinding('failed', 'login', error.message, loginFix(error, PROTOCOL_FIX))
}

/** Redis answers an inline command, if only with an error. */
async function answersPlainly(socket: Socket): Promise<boolean> {
  socket.write('PING\r\n')
  const [data]: unknown[] = await once(socket, 'data', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
  return /^[+-]/.test(String(data))
}

const ANSWER_TIMEOUT_MS = 2_000

function skipped(reason: string): Finding[] {
  return ['server', 'commands'].map((check) => redisFinding('skipped', check, reason))
}
