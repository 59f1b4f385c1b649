import { ServiceError } from '../../../../shared/errors.ts'
import {
  DEVICE_INDEX_KEY,
  DEVICE_KEY_PREFIX,
  echoChannel,
  OWN_KEY_PREFIX,
} from '../../../../shared/contract/keys.ts'
import type { Config } from '../../../config/config.ts'
import { loginFix, redisFinding, type DoctorRole, type Finding } from '../../../core/doctor.ts'
import { includesLagMonitor } from '../../../core/workers/lag-groups.ts'
import { nodeName } from '../../../../shared/redis-client/cluster-nodes.ts'
import { onNewConnection } from '../../../redis/client.ts'
import {
  askPermissions,
  neededCommands,
  type CommandRole,
  type Permission,
  type PermissionReport,
} from '../../../redis/needed-commands.ts'
import { isCluster, type RedisClient } from '../../../redis/redis-client.ts'
import { mergeNodes } from './merge-nodes.ts'

/** Of the user, on the server, or on each node of a Cluster: also on the replicas, which may become masters. */
export async function checkPermissions(
  redis: RedisClient,
  config: Config,
  role: DoctorRole,
  processId: string,
): Promise<Finding[]> {
  const findings: Finding[] = []
  const nodes = isCluster(redis) ? redis.nodes('all') : [redis]
  for (const one of rolesOf(role, config)) {
    const needed = neededCommands(one, processId, {
      updateChannel: config.updater.channel,
      waitReplicas: config.redis.waitReplicas,
      canaryDeviceId: config.lagMonitor.canary?.deviceId,
      isCluster: isCluster(redis),
    })
    const judged = await Promise.all(
      nodes.map(async (node) => {
        const report = await onNewConnection(node, (connection) => askPermissions(connection, needed))
        return { node: nodeName(node), findings: [judgeReport(one, report)] }
      }),
    )
    findings.push(
      ...(isCluster(redis) ? mergeNodes(judged, 'nodes') : judged.flatMap((node) => node.findings)),
    )
  }
  return findings
}

function rolesOf(role: DoctorRole, { lagMonitor }: Config): readonly CommandRole[] {
  if (role !== 'all') return [role]
  const roles: CommandRole[] = ['worker', 'api', 'kv-updater']
  return includesLagMonitor(role, lagMonitor) ? [...roles, 'lag-monitor'] : roles
}

function judgeReport(role: CommandRole, report: PermissionReport | ServiceError): Finding {
  const check = `commands of the ${role}`
  if (report instanceof ServiceError) {
    const detail = `they can't be checked: ${report.message}`
    return report.failureClass === 'operator'
      ? redisFinding('failed', check, detail, loginFix(report, ''))
      : redisFinding('skipped', check, detail)
  }
  const { method, permissions, user } = report
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
  if (/channel/i.test(refusal)) return `&${channelsOf(args[0] ?? '*')}`
  if (!/\bkeys?\b/i.test(refusal)) return `+${command.name}`
  const prefix = KEY_PREFIXES.find((one) => args.some((arg) => arg.startsWith(one)))
  return prefix === undefined ? `~${DEVICE_INDEX_KEY}` : `~${prefix}*`
}

/** The channel of the echoes is named after the process. */
function channelsOf(channel: string): string {
  const echoes = echoChannel('')
  return channel.startsWith(echoes) ? `${echoes}*` : channel
}

const KEY_PREFIXES = [DEVICE_KEY_PREFIX, OWN_KEY_PREFIX]

function refusalText(denied: Permission): string {
  const rule = ruleFor(denied)
  return rule.startsWith('+') ? denied.command.name : `${denied.command.name} on ${rule.slice(1)}`
}

function namesOf(permissions: readonly Permission[]): string {
  return [...new Set(permissions.map(({ command }) => command.name))].join(', ')
}
