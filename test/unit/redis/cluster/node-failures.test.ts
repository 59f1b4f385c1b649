import { describe, expect, test } from 'vitest'
import { NodeFailures } from '../../../../cache-service/redis/cluster/node-failures.ts'

const LAST = new Error('Failed to refresh slots cache.')

describe('the failure of a Cluster none of whose nodes can be used', () => {
  test('names the nodes once for each reason', () => {
    const failures = new NodeFailures()
    failures.failed('b:2', new Error('connect ECONNREFUSED b:2'))
    failures.failed('a:1', new Error('connect ECONNREFUSED a:1'))
    failures.failed('c:3', new Error('timeout'))
    expect(failures.summary(LAST)).toMatchObject({
      code: 'NO_NODE',
      failureClass: 'transient',
      message: 'a:1, b:2: connect ECONNREFUSED; c:3: timeout',
    })
  })

  test('does not list many nodes', () => {
    const failures = new NodeFailures()
    for (const n of [1, 2, 3, 4, 5, 6]) failures.failed(`a:${n}`, new Error('timeout'))
    expect(failures.summary(LAST).message).toBe('a:1 and 5 others: timeout')
  })

  test('is the refusal of one of them, rather than that others cannot be reached', () => {
    const failures = new NodeFailures()
    failures.failed('a:1', new Error('timeout'))
    failures.failed('b:2', new Error('WRONGPASS invalid username-password pair'))
    expect(failures.summary(LAST)).toMatchObject({
      code: 'WRONGPASS',
      failureClass: 'operator',
      message: 'b:2: WRONGPASS invalid username-password pair',
    })
  })

  test('is not that the connection to a node was closed, if the node gave a reason before', () => {
    const failures = new NodeFailures()
    failures.failed('a:1', new Error('connect ECONNREFUSED a:1'))
    failures.failed('a:1', new Error('Connection is closed.'))
    expect(failures.summary(LAST).message).toBe('a:1: connect ECONNREFUSED')
  })

  test('is the error itself, if no node gave a reason', () => {
    expect(new NodeFailures().summary(LAST).message).toBe(LAST.message)
  })
})
