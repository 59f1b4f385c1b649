import { once } from 'node:events'
import type { Socket } from 'node:net'
import { redisError, ServiceError } from '../../../../shared/errors.ts'
import {
  DEVICE_INDEX_KEY,
  DEVICE_KEY_PREFIX,
  OWN_KEY_PREFIX,
  progressKey,
} from '../../../../shared/contract/keys.ts'
import type { Config } from '../../../config/config.ts'
import {
  asUnreachable,
  judgeFixedKeys,
  judgeRedis,
  loginFix,
  redisFinding,
  type DoctorRole,
  type Finding,
} from '../../../core/doctor.ts'
import { includesLagMonitor } from '../../../core/workers/lag-groups.ts'
import { fixedKeys, type FixedKey } from '../../../core/fixed-keys.ts'
import { createRedis, onNewConnection, serverName } from '../../../redis/client.ts'
import { askMasters } from '../../../redis/cluster/each-master.ts'
import { SlotTable } from '../../../redis/cluster/slots.ts'
import { isCluster, type RedisClient } from '../../../redis/redis-client.ts'
import {
  askPermissions,
  neededCommands,
  type CommandRole,
  type Permission,
  type PermissionReport,
} from '../../../redis/needed-commands.ts'
import { readRedisFacts } from '../../../redis/server-facts.ts'
import { findMistypedKeys, findScriptRefusal } from '../../../redis/server-check.ts'
import { createServerStatsReader } from '../../../redis/server-stats.ts'
import type { Session } from '../../session.ts'
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
  for (const { answer, name, slots } of await askMasters(redis, (server) => factsOf(server, context.now))) {
    const found =
      answer instanceof ServiceError
        ? [
            redisFinding(
              slots === undefined ? 'skipped' : 'failed',
              'server',
              `INFO is not answered: ${answer.message}`,
            ),
          ]
        : judgeRedis(answer, role, slots !== undefined)
    findings.push(
      ...(slots === undefined ? found : found.map((one) => ({ ...one, check: `${one.check} of ${name}` }))),
    )
  }
  const scripts = isCluster(redis)
    ? await findScriptRefusal(redis)
    : await onNewConnection(redis, async (one) => await findScriptRefusal(one))
  if (scripts instanceof ServiceError && scripts.code !== 'NOPERM')
    findings.push(redisFinding('failed', 'scripts', scripts.message, loginFix(scripts, PROTOCOL_FIX)))
  const keys = isCluster(redis)
    ? await findMistypedKeys(redis, allFixedKeys(config)).catch(redisError)
    : await onNewConnection(redis, (one) => findMistypedKeys(one, allFixedKeys(config)))
  findings.push(...judgeFixedKeys(keys instanceof ServiceError ? undefined : keys))
  for (const one of rolesOf(role, config)) {
    const needed = neededCommands(one, context.processId, {
      updateChannel: config.updater.channel,
      waitReplicas: config.redis.waitReplicas,
      canaryDeviceId: config.lagMonitor.canary?.deviceId,
    })
    const report = await onNewConnection(redis, (connection) => askPermissions(connection, needed))
    findings.push(
      report instanceof ServiceError
        ? redisFinding('skipped', `commands of the ${one}`, `they can't be checked: ${report.message}`)
        : judgePermissions(one, report),
    )
  }
  return findings
}

/** On a connection of its own: a proxy may close one at a command that it does not know. */
async function factsOf(server: RedisClient, now: () => number) {
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

function rolesOf(role: DoctorRole, { lagMonitor }: Config): readonly CommandRole[] {
  if (role !== 'all') return [role]
  const roles: CommandRole[] = ['worker', 'api', 'kv-updater']
  return includesLagMonitor(role, lagMonitor) ? [...roles, 'lag-monitor'] : roles
}

const PROTOCOL_FIX =
  'Check that a Redis server listens on REDIS_PORT, check REDIS_DB and REDIS_TLS, and read the log of the server.'

const NAMED_FIX =
  'Check that this machine can reach that address (`sentinel announce-ip` and `replica-announce-ip` set it), and check REDIS_TLS.'

async function loginRefused(error: ServiceError, { redis }: Config): Promise<Finding> {
  const isConnectionLost = error.code === 'CONNECTION' || error.code === 'TIMEOUT'
  const { location } = redis
  if (location.kind === 'sentinels' && isConnectionLost)
    return redisFinding('failed', 'login', `the primary that the Sentinels name: ${error.message}`, NAMED_FIX)
  if (location.kind === 'address' && redis.tls === undefined && isConnectionLost) {
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

function judgePermissions(role: CommandRole, { permissions, user, method }: PermissionReport): Finding {
  const check = `commands of the ${role}`
  const denied = permissions.filter(({ isAllowed }) => isAllowed === false)
  const unknown = permissions.filter(({ isAllowed }) => isAllowed === undefined)
  const checked = `${permissions.length - unknown.length} checked by ${method}, as ${user}`
  if (denied.length === 0) {
    const unchecked = unknown.length === 0 ? '' : `; ${namesOf(unknown)} can't be checked without writing`
    return redisFinding('ok', check, `all allowed (${checked}${unchecked})`)
  }
  const isOptional = denied.every(({ command }) => command.isOptional)
  const consequence = isOptional ? ': the role works without, but it reports or checks less' : ''
  return redisFinding(
    isOptional ? 'warning' : 'failed',
    check,
    `${user} lacks permission for ${denied.map(refusalText).join(', ')}${consequence}`,
    `redis-cli ACL SETUSER ${user} ${[...new Set(denied.map(ruleFor))].join(' ')}`,
  )
}

/** The ACL rule that is missing: for a command, a key prefix, or a channel. */
function ruleFor({ command, refusal }: Permission): string {
  const [, ...args] = command.call
  if (/channel/i.test(refusal)) return `&${args[0] ?? '*'}`
  if (!/\bkeys?\b/i.test(refusal)) return `+${command.name}`
  const prefix = KEY_PREFIXES.find((one) => args.some((arg) => arg.startsWith(one)))
  return prefix === undefined ? `~${DEVICE_INDEX_KEY}` : `~${prefix}*`
}

const KEY_PREFIXES = [DEVICE_KEY_PREFIX, OWN_KEY_PREFIX]

function refusalText(denied: Permission): string {
  const rule = ruleFor(denied)
  return rule.startsWith('+') ? denied.command.name : `${denied.command.name} on ${rule.slice(1)}`
}

function namesOf(permissions: readonly Permission[]): string {
  return [...new Set(permissions.map(({ command }) => command.name))].join(', ')
}

function skipped(reason: string): Finding[] {
  return ['server', 'commands'].map((check) => redisFinding('skipped', check, reason))
}
