import type { Redis } from 'ioredis'
import type { DeviceId } from '../../shared/contract/device-id.ts'
import { redisError } from '../../shared/errors.ts'
import { isUnreachable } from '../core/operator-hint.ts'
import {
  DEVICE_INDEX_KEY,
  DEVICE_KEY_PREFIX,
  DEVICE_STREAM_KEY,
  LAG_GROUPS_KEY,
  LISTENING_KEY,
  OWN_KEY_PREFIX,
  UPDATE_STREAM_KEY,
  UPDATE_TYPES_KEY,
  UPDATER_LEASE_KEY,
  WORKERS_KEY,
  deviceKey,
  echoChannel,
} from '../../shared/contract/keys.ts'
import { redisReply } from './reply.ts'

export type CommandRole = 'worker' | 'api' | 'kv-updater' | 'lag-monitor'

/** A command that a role sends, with keys under the same prefixes. */
export type NeededCommand = {
  /** As an ACL rule names it: `hset`, `script|load`. */
  readonly name: string
  readonly call: readonly [command: string, ...args: string[]]
  /** Safe to execute: it fails for another reason, finds nothing, or changes only the key of the doctor. */
  readonly isHarmless: boolean
  /** The role works without it, but reports less. */
  readonly isOptional: boolean
}

export type Permission = {
  readonly command: NeededCommand
  /** undefined: can't be known without executing the command. */
  readonly isAllowed: boolean | undefined
  /** The error message of Redis. */
  readonly refusal: string
}

export type PermissionReport = {
  readonly user: string
  readonly method: 'ACL DRYRUN' | 'MULTI and DISCARD' | 'harmless calls'
  readonly permissions: readonly Permission[]
}

/** The settings on which the commands depend. */
export type CommandSettings = {
  readonly updateChannel: string
  readonly waitReplicas: number
  /** undefined: no canary. */
  readonly canaryDeviceId: DeviceId | undefined
  readonly isCluster: boolean
}

/** @param id unique to this run of the doctor, so that the keys named after it do not exist. */
export function neededCommands(role: CommandRole, id: string, settings: CommandSettings): NeededCommand[] {
  const { canaryDeviceId, updateChannel, waitReplicas } = settings
  const own = `${OWN_KEY_PREFIX}doctor:${id}`
  const device = `${DEVICE_KEY_PREFIX}cache_service_doctor_${id}:metadata`
  const harmless = (...call: NeededCommand['call']) => needed(call, true)
  const dryRunOnly = (...call: NeededCommand['call']) => needed(call, false)
  const optional = (...call: NeededCommand['call']) => ({ ...needed(call, true), isOptional: true })
  const ofCluster = (...calls: NeededCommand[]) => (settings.isCluster ? calls : [])
  // Of any client. It tells a replica that it reads there, and a promoted one that it does not; ASKING precedes a request for a slot
  // that is just moving.
  const nodes = ofCluster(
    harmless('CLUSTER', 'SLOTS'),
    harmless('READONLY'),
    harmless('READWRITE'),
    harmless('ASKING'),
  )
  const scripts = [
    ...nodes,
    dryRunOnly('SCRIPT', 'LOAD', 'return 1'),
    harmless('EVALSHA', '0'.repeat(40), '1', own),
    ...ofCluster(harmless('EVAL', 'return 1', '1', own)),
  ]
  switch (role) {
    case 'worker':
      return [
        ...scripts,
        // A field without a value: rejected, but only after the permission check.
        harmless('HSET', device, 'a', '1', 'b'),
        ...(['HGETALL', 'PTTL', 'PERSIST', 'DEL', 'EXISTS'] as const).map((command) =>
          harmless(command, device),
        ),
        harmless('HGET', device, 'last_updated'),
        harmless('HDEL', device, 'none'),
        harmless('PEXPIREAT', device, '1'),
        dryRunOnly('SADD', DEVICE_INDEX_KEY, id),
        harmless('SREM', DEVICE_INDEX_KEY, `cache_service_doctor_${id}`),
        harmless('SCARD', DEVICE_INDEX_KEY),
        harmless('SSCAN', DEVICE_INDEX_KEY, '0', 'COUNT', '1'),
        harmless('SET', own, '1', 'PX', '1000'),
        harmless('GET', own),
        ...(waitReplicas > 0 ? [harmless('WAIT', '0', '1')] : []),
        harmless('HMGET', own, '0'),
        harmless('PEXPIRE', own, '1000'),
        optional('TYPE', DEVICE_INDEX_KEY),
        optional('INFO', 'server'),
        optional('ZREM', WORKERS_KEY, own),
        { ...dryRunOnly('ZADD', WORKERS_KEY, '0', own), isOptional: true },
        optional('ZREMRANGEBYSCORE', WORKERS_KEY, '-inf', '-inf'),
        { ...dryRunOnly('XADD', DEVICE_STREAM_KEY, '*', 'a', 'b'), isOptional: true },
      ]
    case 'api':
      return [
        ...scripts,
        harmless('EXISTS', DEVICE_INDEX_KEY),
        harmless('SSCAN', DEVICE_INDEX_KEY, '0', 'COUNT', '1'),
        harmless('HGETALL', device),
        harmless('HMGET', device, 'persist'),
        harmless('HLEN', device),
        harmless('TTL', device),
        harmless('PTTL', device),
        harmless('DEL', device),
        harmless('SREM', DEVICE_INDEX_KEY, `cache_service_doctor_${id}`),
        harmless('ZREVRANGE', WORKERS_KEY, '0', '0'),
        harmless('MGET', own),
        harmless('SMEMBERS', UPDATE_TYPES_KEY),
        harmless('SISMEMBER', UPDATE_TYPES_KEY, own),
        harmless('XRANGE', UPDATE_STREAM_KEY, '0', '0', 'COUNT', '1'),
        harmless('XREVRANGE', DEVICE_STREAM_KEY, '+', '-', 'COUNT', '1'),
        harmless('XREAD', 'COUNT', '1', 'STREAMS', UPDATE_STREAM_KEY, '$'),
        dryRunOnly('SET', LISTENING_KEY, '1', 'PX', '1000'),
        harmless('GET', own),
        harmless('UNLINK', own),
        harmless('SCAN', '0', 'MATCH', own, 'COUNT', '1'),
        optional('TYPE', DEVICE_INDEX_KEY),
        optional('INFO', 'server'),
        optional('DBSIZE'),
        optional('PING'),
        optional('PUBLISH', own, ''),
        optional('PUBSUB', 'CHANNELS', own),
        optional('PUBSUB', 'NUMSUB', own),
        optional('XINFO', 'STREAM', own),
        optional('CLIENT', 'ID'),
        optional('CLIENT', 'TRACKING', 'OFF'),
        optional('SUBSCRIBE', '__redis__:invalidate'),
      ]
    case 'kv-updater':
      return [
        ...scripts,
        harmless('SET', own, '1', 'PX', '1000'),
        harmless('GET', own),
        harmless('PEXPIRE', own, '1000'),
        harmless('DEL', own),
        harmless('GET', UPDATER_LEASE_KEY),
        dryRunOnly('SADD', UPDATE_TYPES_KEY, own),
        dryRunOnly('XADD', UPDATE_STREAM_KEY, '*', 'a', 'b'),
        optional('TYPE', UPDATE_TYPES_KEY),
        harmless('SUBSCRIBE', updateChannel),
        ...ofCluster(harmless('SUBSCRIBE', echoChannel(id)), optional('PUBLISH', echoChannel(id), '')),
        harmless('PING'),
      ]
    case 'lag-monitor':
      return [
        ...nodes,
        harmless('EVALSHA', '0'.repeat(40), '1', own),
        harmless('SET', own, '1', 'PX', '1000'),
        dryRunOnly('ZADD', LAG_GROUPS_KEY, '0', own),
        harmless('ZREMRANGEBYSCORE', LAG_GROUPS_KEY, '-inf', '-inf'),
        ...(canaryDeviceId === undefined
          ? []
          : [harmless('HGET', deviceKey(canaryDeviceId), 'last_updated')]),
        optional('TYPE', LAG_GROUPS_KEY),
        optional('INFO', 'memory'),
      ]
  }
}

function needed(call: NeededCommand['call'], isHarmless: boolean): NeededCommand {
  const [command, subcommand] = call
  const isContainer = ['SCRIPT', 'PUBSUB', 'XINFO', 'CLIENT', 'CLUSTER'].includes(command)
  const name = (isContainer ? `${command}|${subcommand ?? ''}` : command).toLowerCase()
  return { name, call, isHarmless, isOptional: false }
}

/**
 * Checks which of these commands the user may send: by ACL DRYRUN, or by queueing them in MULTI and discarding the
 * queue, or, for a user who may do neither, by executing the harmless ones. Writes only to the key of the doctor.
 *
 * @param redis a connection that is not shared. Rejects with a ServiceError if it is lost.
 */
export async function askPermissions(
  redis: Redis,
  commands: readonly NeededCommand[],
): Promise<PermissionReport> {
  const user = await redis.acl('WHOAMI').then(String, () => undefined)
  if (user !== undefined && (await isPermitted(() => redis.acl('DRYRUN', user, 'PING')))) {
    const answers = commands.map(async (command) => {
      const answer = await redis.acl('DRYRUN', user, ...command.call)
      return answer === 'OK' ? permission(command, true) : permission(command, false, String(answer))
    })
    return { user, method: 'ACL DRYRUN', permissions: await redisReply(Promise.all(answers)) }
  }
  const name = user ?? redis.options.username ?? 'default'
  const isQueueing = await isPermitted(() => redis.call('MULTI'))
  const permissions = commands.map(async (command) => {
    if (command.name === SUBSCRIBE) return undefined
    return isQueueing || command.isHarmless
      ? await trySending(redis, command)
      : permission(command, undefined)
  })
  const tried = await redisReply(Promise.all(permissions))
  // A denied command aborts the transaction, which is discarded in any case.
  if (isQueueing) await redis.call('DISCARD').catch(() => undefined)
  const all = []
  for (const [i, command] of commands.entries()) all.push(tried[i] ?? (await trySubscribing(redis, command)))
  return { user: name, method: isQueueing ? 'MULTI and DISCARD' : 'harmless calls', permissions: all }
}

/** It can't be queued: the client would mistake the reply for a subscription. */
const SUBSCRIBE = 'subscribe'

/** Needs its own connection: without permission to unsubscribe, the connection is of no further use. */
async function trySubscribing(redis: Redis, command: NeededCommand): Promise<Permission> {
  const [, channel = ''] = command.call
  const subscriber = redis.duplicate()
  subscriber.on('error', () => undefined)
  try {
    await subscriber.connect()
    await subscriber.subscribe(channel)
    return permission(command, true)
  } catch (error) {
    return refusedOr(error, command)
  } finally {
    subscriber.disconnect()
  }
}

/** Only a permission error counts as denied; any other reply, including another error, counts as allowed. */
async function trySending(redis: Redis, command: NeededCommand): Promise<Permission> {
  const [name, ...args] = command.call
  try {
    await redis.call(name, ...args)
    return permission(command, true)
  } catch (error) {
    return refusedOr(error, command)
  }
}

/** @throws ServiceError if the connection is lost, which says nothing about the permission. */
function refusedOr(error: unknown, command: NeededCommand): Permission {
  const failure = redisError(error)
  if (isUnreachable(failure)) throw failure
  const { code, message } = failure
  return code === 'NOPERM' || code === 'UNKNOWN_COMMAND'
    ? permission(command, false, message)
    : permission(command, true)
}

async function isPermitted(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call()
    return true
  } catch (error) {
    const failure = redisError(error)
    if (isUnreachable(failure)) throw failure
    return false
  }
}

function permission(command: NeededCommand, isAllowed: boolean | undefined, refusal = ''): Permission {
  return { command, isAllowed, refusal }
}
