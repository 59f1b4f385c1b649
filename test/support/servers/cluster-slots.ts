import type { Redis } from 'ioredis'

/** Both inclusive. */
export type SlotRange = { readonly from: number; readonly to: number }

export type KnownNode = {
  readonly isMaster: boolean
  /** Of a replica. */
  readonly masterId: string | undefined
  /** Neither in a handshake, nor failing, nor unreachable. */
  readonly isConnected: boolean
  readonly ranges: readonly SlotRange[]
}

/** What one node of a cluster knows about all nodes. */
export type ClusterView = {
  readonly nodes: ReadonlyMap<string, KnownNode>
  /** Every slot that has an owner, in order. */
  readonly ranges: readonly (SlotRange & { readonly owner: string })[]
  /** Who owns which slots and replicates whom, as text. */
  readonly topology: string
}

export async function readView(admin: Redis): Promise<ClusterView> {
  const nodes = new Map(
    String(await admin.cluster('NODES'))
      .trim()
      .split('\n')
      .map(parseNode),
  )
  const ranges = [...nodes]
    .flatMap(([owner, node]) => node.ranges.map((range) => ({ ...range, owner })))
    .sort((a, b) => a.from - b.from)
  const replicas = [...nodes].map(([id, { masterId }]) => `${id} of ${masterId ?? 'none'}`).sort()
  return { nodes, ranges, topology: JSON.stringify([ranges, replicas]) }
}

/** @param line such as `<id> 127.0.0.1:30001@31001 myself,master - 0 1426238317239 4 connected 0-5460 5470` */
function parseNode(line: string): [string, KnownNode] {
  const [id = '', , flagText = '', masterId, , , , link, ...slots] = line.split(' ')
  const flags = flagText.split(',')
  const isSound = !flags.some((flag) => ['handshake', 'noaddr', 'fail', 'fail?'].includes(flag))
  const node = {
    isMaster: flags.includes('master'),
    masterId: masterId === '-' ? undefined : masterId,
    isConnected: isSound && (flags.includes('myself') || link === 'connected'),
    // In [ ] stand those that are being moved.
    ranges: slots.filter((text) => !text.startsWith('[')).map(parseRange),
  }
  return [id, node]
}

function parseRange(text: string): SlotRange {
  const [from = Number.NaN, to = from] = text.split('-').map(Number)
  return { from, to }
}

export function slotsOf(ranges: readonly SlotRange[]): number[] {
  return ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i))
}

type Mover = { readonly id: string; readonly host: string; readonly port: number; readonly admin: Redis }

/** The nodes of a move. */
export type Move = {
  readonly from: Mover
  readonly to: Mover
  readonly password: string | undefined
}

/** Begins to move a slot. @param maxKeys how many of its keys are moved at most. */
export async function beginMove(move: Move, slot: number, maxKeys = Infinity): Promise<void> {
  const { from, to } = move
  await to.admin.cluster('SETSLOT', slot, 'IMPORTING', from.id)
  await from.admin.cluster('SETSLOT', slot, 'MIGRATING', to.id)
  await moveKeys(move, slot, maxKeys)
}

/** Moves the remaining keys of a slot, and makes its new owner known. @param others the masters that have no part in it. */
export async function endMove(move: Move, slot: number, others: readonly Mover[]): Promise<void> {
  await moveKeys(move, slot, Infinity)
  // The new owner first: otherwise a slot without an owner could be left.
  for (const { admin } of [move.to, move.from, ...others]) {
    try {
      await admin.cluster('SETSLOT', slot, 'NODE', move.to.id)
    } catch (error) {
      // A master that has given away its last slot becomes a replica of the new owner.
      if (admin !== move.from.admin || !String(error).includes('only with masters')) throw error
    }
  }
}

async function moveKeys({ from, password, to }: Move, slot: number, maxKeys: number): Promise<void> {
  for (let left = maxKeys; left > 0;) {
    const keys = await from.admin.cluster('GETKEYSINSLOT', slot, Math.min(left, 100))
    if (keys.length === 0) return
    left -= keys.length
    const login = password === undefined ? [] : ['AUTH', password]
    await from.admin.call('MIGRATE', to.host, to.port, '', 0, 10_000, ...login, 'KEYS', ...keys)
  }
}
