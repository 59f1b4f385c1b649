import { describe, expect, test } from 'vitest'
import {
  failedOwners,
  judgeCluster,
  judgeVersions,
  parseClusterView,
} from '../../../cache-service/core/cluster-health.ts'

const OK = 'cluster_enabled:1\r\ncluster_state:ok\r\n'
const NODES = `a1 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-5460 5462 [93-<-b2] [5-<-b2]
b2 10.0.0.2:6379@16379,redis-b master - 0 0 2 connected 5461 5463-16383
c3 10.0.0.3:6379@16379 slave a1 0 0 1 connected
d4 10.0.0.4:6379@16379 slave,fail? b2 0 0 2 connected
e5 10.0.0.5:6379@16379 master,fail - 0 0 0 disconnected
`

describe('the view of a master of its Cluster', () => {
  test('has the role, health and number of slots of each node', () => {
    const view = parseClusterView('10.0.0.1:6379', OK, NODES)
    expect(view).toMatchObject({ servesAllSlots: true, movingSlots: 2 })
    expect(view.nodes).toMatchObject([
      { address: '10.0.0.1:6379', isMaster: true, health: 'ok', slots: 5462 },
      { address: '10.0.0.2:6379', isMaster: true, health: 'ok', slots: 10922 },
      { address: '10.0.0.3:6379', isMaster: false, masterId: 'a1', slots: 0 },
      { address: '10.0.0.4:6379', isMaster: false, masterId: 'b2', health: 'suspected' },
      { address: '10.0.0.5:6379', isMaster: true, health: 'failed', slots: 0 },
    ])
  })

  test('is judged: only what concerns slots that are owned now is a failure', () => {
    const findings = judgeCluster([parseClusterView('10.0.0.1:6379', OK, NODES)])
    expect(findings.map(({ check, verdict }) => [check, verdict])).toEqual([
      ['cluster state', 'ok'],
      ['slots', 'ok'],
      ['node 10.0.0.4:6379', 'warning'],
      ['node 10.0.0.5:6379', 'warning'],
      ['replicas', 'ok'],
      ['moving slots', 'warning'],
    ])
  })

  test.each([
    ['yes', '', 1],
    ['yes', 'd4 10.0.0.4:6379@16379 slave b2 0 0 2 connected', 0],
    ['yes', 'd4 10.0.0.4:6379@16379 slave,fail b2 0 0 2 disconnected', 1],
    ['no', '', 0],
    [undefined, '', 0],
  ])('with full coverage %s and the replica "%s" has %i warning of it', (coverage, replica, warnings) => {
    const nodes = `b2 10.0.0.2:6379@16379 myself,master - 0 0 2 connected 0-16383\n${replica}`
    const found = judgeCluster([parseClusterView('10.0.0.2:6379', OK, nodes, coverage)])
    expect(found.filter(({ check }) => check === 'full coverage')).toHaveLength(warnings)
  })

  test('counts as a failure if one master of several refuses commands', () => {
    const views = [
      parseClusterView('10.0.0.1:6379', OK, NODES),
      parseClusterView('10.0.0.2:6379', 'cluster_state:fail\r\n', NODES),
    ]
    expect(judgeCluster(views)[0]).toMatchObject({
      verdict: 'failed',
      detail: 'fail, according to 10.0.0.2:6379: it refuses commands',
    })
    const [first] = judgeCluster(views.map((view) => ({ ...view, servesAllSlots: false })))
    expect(first?.detail).toBe('fail, according to 10.0.0.1:6379 and 10.0.0.2:6379: they refuse commands')
    const [agreed] = judgeCluster(views.map((view) => ({ ...view, servesAllSlots: true })))
    expect(agreed?.detail).toBe('ok (2 masters agree)')
  })

  test.each([
    [
      'a master without a replica',
      'b2 10.0.0.2:6379@16379 master,fail - 0 0 2 disconnected 5461-16383',
      'Restart it. If it will not come back: CLUSTER FORGET b2 on every other node, then `redis-cli --cluster fix <node>`, then `cache-cli rebuild`, because its data are lost.',
    ],
    [
      'a master whose replica is up',
      'b2 10.0.0.2:6379@16379 master,fail - 0 0 2 disconnected 5461-16383\nc3 10.0.0.3:6379@16379 slave b2 0 0 2 connected',
      'Restart it, or let its replica take its place: CLUSTER FAILOVER TAKEOVER on 10.0.0.3:6379.',
    ],
    [
      'a master without slots',
      'b2 10.0.0.2:6379@16379 master,fail - 0 0 2 disconnected',
      'Restart it. If it will not come back: CLUSTER FORGET b2 on every other node.',
    ],
    [
      'a replica',
      'b2 10.0.0.2:6379@16379 slave,fail a1 0 0 2 disconnected',
      'Restart it. If it will not come back: CLUSTER FORGET b2 on every other node.',
    ],
    [
      'a master that only one suspects',
      'b2 10.0.0.2:6379@16379 master,fail? - 0 0 2 disconnected 5461-16383',
      'Run the check again, and restart it if it still does not answer.',
    ],
  ])('has a fix for %s that works without that node', (_what, nodes, fix) => {
    const view = parseClusterView(
      '10.0.0.1:6379',
      OK,
      `a1 10.0.0.1:6379@16379 master - 0 0 1 connected 0-5460\n${nodes}`,
    )
    const found = judgeCluster([view]).find(({ check }) => check === 'node 10.0.0.2:6379')
    expect(found?.fix).toBe(fix)
    expect(failedOwners([view])).toEqual(found?.verdict === 'failed' ? ['10.0.0.2:6379'] : [])
  })
})

test('different versions of the masters are a warning, equal ones are not mentioned', () => {
  expect(judgeVersions(['7.0.15', '7.2.1', '7.0.15'])).toMatchObject([
    { verdict: 'warning', detail: expect.stringContaining('7.0.15, 7.2.1') },
  ])
  expect(judgeVersions(['7.2.1', '7.2.1'])).toEqual([])
})
