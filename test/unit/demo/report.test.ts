import { describe, expect, test } from 'vitest'
import { parseProduced } from '../../demo/report.ts'
import { readWorkerMetrics } from '../../demo/worker-metrics.ts'
import { parseMetrics } from '../../support/processes/parse-metrics.ts'

const METRICS = `
# HELP cache_service_messages_total Records consumed, by what became of them.
# TYPE cache_service_messages_total counter
cache_service_messages_total{topic="iot_validated_data",result="applied"} 120
cache_service_messages_total{topic="iot_validated_data",result="superseded"} 30
cache_service_messages_total{topic="say \\"hi\\"",result="applied"} 1
cache_service_dead_letters_total{reason="not_json"} 2
cache_service_dead_letters_total{reason="bad_timestamp"} 3
cache_service_consumer_lag{consumergroup="g",topic="t",partition="0"} 4
cache_service_consumer_lag{consumergroup="g",topic="t",partition="1"} 1.5e+1
`

describe('the metrics of the demo', () => {
  test('have names, labels and values', () => {
    expect(parseMetrics(METRICS)[2]).toEqual({
      name: 'cache_service_messages_total',
      labels: { topic: 'say \\"hi\\"', result: 'applied' },
      value: 1,
    })
  })

  test('are sums, and undefined where the worker has no value yet', () => {
    expect(readWorkerMetrics(parseMetrics(METRICS))).toEqual({
      messages: { applied: 121, superseded: 30 },
      consumed: 151,
      lag: 19,
      devices: undefined,
      deadLetters: 5,
    })
  })
})

describe('the log of the normalizer', () => {
  test('ends with the totals that the demo compares', () => {
    const log = [
      '{"msg":"producing","produced":1}',
      '(node:1) Warning: not a line of JSON',
      '{"msg":"stopped","produced":70,"invalid":2,"without_metadata":1,"devices":9}',
      '',
    ]
    expect(parseProduced(log.join('\n'))).toEqual({
      produced: 70,
      invalid: 2,
      withoutMetadata: 1,
      devices: 9,
    })
  })

  test('is refused while the totals are missing', () => {
    expect(() => parseProduced('{"msg":"producing","produced":1}\n')).toThrow('has not reported')
  })
})
