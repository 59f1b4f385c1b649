import { describe, expect, test } from 'vitest'
import { judgeConfiguredNodes, parseOwnerIds } from '../../../cache-service/core/configured-nodes.ts'

const A = ['a1', 'a2']
const B = ['b1', 'b2']

const judged = (...nodes: (readonly string[] | undefined)[]) =>
  judgeConfiguredNodes(nodes.map((ownerIds, i) => ({ name: `n:${i + 1}`, ownerIds }))).map(
    ({ check, detail, verdict }) => `${verdict} ${check}: ${detail}`,
  )

describe('of the configured nodes of a Cluster, the doctor', () => {
  test('says nothing if all are of one Cluster, even if each knows only some of its nodes', () => {
    expect(judged(A, A, A)).toEqual([])
    expect(judged(['a1'], ['a2'], A)).toEqual([])
    expect(judged()).toEqual([])
  })

  test('names those that are not of the Cluster of most of them, or else of the first', () => {
    const other = 'it belongs to another Cluster than'
    expect(judged(B, A, A)).toEqual([`failed REDIS_CLUSTER_NODES n:1: ${other} n:2 and n:3`])
    expect(judged(A, B)).toEqual([`failed REDIS_CLUSTER_NODES n:2: ${other} n:1`])
  })

  test('names those that are in no Cluster', () => {
    expect(judged(undefined, A)).toEqual(['failed REDIS_CLUSTER_NODES n:1: it is not in cluster mode'])
    expect(judged(A, [])).toEqual([
      'failed REDIS_CLUSTER_NODES n:2: it knows no node with slots, and has therefore not joined the Cluster',
    ])
  })

  test('compares the ids of masters and replicas', () => {
    const reply = [
      [0, 99, ['10.0.0.1', 6379, 'a1', []], ['10.0.0.2', 6379, 'a2', []]],
      [100, 16383, ['10.0.0.3', 6379, 'a3', ['hostname', 'x']]],
    ]
    expect(parseOwnerIds(reply)).toEqual(['a1', 'a2', 'a3'])
    expect(parseOwnerIds([])).toEqual([])
  })
})
