import { describe, expect, test } from 'vitest'
import { judgeCluster, judgeVersions, parseClusterView } from '../../../cache-service/core/cluster-health.ts'

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

  test('counts as a failure if one master of several refuses commands', () => {
    const views = [
      parseClusterView('10.0.0.1:6379', OK, NODES),
      parseClusterView('10.0.0.2:6379', 'cluster_state:fail\r\n', NODES),
    ]
    expect(judgeCluster(views)[0]).toMatchObject({
      verdict: 'failed',
      detail: 'fail, as 10.0.0.2:6379 says: it refuses commands',
    })
  })
})

test('different versions of the masters are a warning, equal ones are not mentioned', () => {
  expect(judgeVersions(['7.0.15', '7.2.1', '7.0.15'])).toMatchObject([
    { verdict: 'warning', detail: expect.stringContaining('7.0.15, 7.2.1') },
  ])
  expect(judgeVersions(['7.2.1', '7.2.1'])).toEqual([])
})
