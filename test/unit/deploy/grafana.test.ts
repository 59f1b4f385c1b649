import { globSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { dashboards } from '../../../deploy/grafana/dashboards.ts'
import { metricNamesIn, ownMetrics } from '../../support/docs/metric-names.ts'
import { readText } from '../../support/docs/repository-files.ts'
import { repository } from '../../support/repository.ts'

/** As redis_exporter 1.45 answered for a Redis 7, and as the documentation of kafka_exporter lists them. */
const EXPORTERS = [
  ...[
    'redis_aof_last_write_status',
    'redis_commands_total',
    'redis_connected_clients',
    'redis_connected_slaves',
  ],
  ...[
    'redis_cpu_sys_seconds_total',
    'redis_cpu_user_seconds_total',
    'redis_db_keys',
    'redis_evicted_keys_total',
  ],
  ...[
    'redis_memory_max_bytes',
    'redis_memory_used_bytes',
    'redis_rdb_last_bgsave_status',
    'redis_slowlog_length',
  ],
  ...['kafka_consumergroup_lag', 'kafka_consumergroup_members', 'kafka_topic_partition_current_offset'],
]

describe('the dashboards of Grafana', () => {
  const panels = dashboards.flatMap(({ parts }) =>
    parts.panels.map((panel) => ({ ...panel, variables: parts.variables })),
  )

  it('are the files that Grafana provisions (node test/write-docs.ts)', () => {
    const files = globSync('deploy/grafana/dashboards/*.json', { cwd: repository })
    expect(files.toSorted()).toEqual(dashboards.map(({ path }) => path).toSorted())
    for (const { path, render } of dashboards) expect(readText(path)).toBe(render())
  })

  it('use only metrics that exist', async () => {
    const { names } = await ownMetrics()
    const recorded = [...readText('deploy/prometheus/rules.yml').matchAll(/record: (\S+)/g)].map(
      ([, name]) => name,
    )
    const known = new Set([...names, ...recorded, ...EXPORTERS])
    expect(panels.length).toBeGreaterThan(50)
    for (const { queries, title } of panels) {
      expect(queries.length, title).toBeGreaterThan(0)
      for (const { expr } of queries) {
        const used = metricNamesIn(expr)
        expect(used.length, expr).toBeGreaterThan(0)
        for (const name of used) expect(known, expr).toContain(name)
      }
    }
  })

  it('show every metric of the service', async () => {
    const { names } = await ownMetrics()
    const shown = new Set(
      panels
        .flatMap(({ queries, variables }) => [
          ...queries.map(({ expr }) => expr),
          ...variables.map(({ query }) => query),
        ])
        .flatMap((text) => text.match(/cache_service_\w+/g) ?? [])
        .map((name) => name.replace(/_(?:bucket|sum|count)$/, '')),
    )
    const own = [...names].filter(
      (name) => name.startsWith('cache_service_') && !/_(?:bucket|sum|count)$/.test(name),
    )
    // Only alerts need the time of the last chunk and of the last sweep.
    const left = own.filter(
      (name) => !shown.has(name) && !/last_(?:applied|success)_timestamp_seconds$/.test(name),
    )
    expect(left).toEqual([])
  })

  it('use only variables that their dashboard has', () => {
    for (const { queries, variables } of panels) {
      const known = ['__rate_interval', ...variables.map(({ name }) => name)]
      for (const { expr } of queries)
        for (const [, name] of expr.matchAll(/\$(\w+)/g)) expect(known, expr).toContain(name)
    }
  })

  it('name only labels in their legends that the expression keeps', () => {
    for (const { queries } of panels) {
      for (const { expr, legend } of queries) {
        const kept = /\bby \(([^)]*)\)/.exec(expr)?.[1]?.split(', ')
        for (const [, label = ''] of legend.matchAll(/\{\{(\w+)\}\}/g))
          if (kept) expect(kept, expr).toContain(label)
      }
    }
  })

  it('have an identity that a link may rely on', () => {
    const ids = dashboards.map(({ parts }) => parts.uid)
    expect(ids).toEqual([
      'cache-service-worker',
      'cache-service-lag',
      'cache-service-lag-monitor',
      'cache-service-redis',
      'cache-service-api',
      'cache-service-events',
    ])
  })

  it('are found by the Grafana of docker-compose.yml, which finds its Prometheus', () => {
    const compose = readText('docker-compose.yml')
    const providers = parse(readText('deploy/grafana/provisioning/dashboards/cache-service.yml'))
    const sources = parse(readText('deploy/grafana/provisioning/datasources/prometheus.yml'))
    expect(compose).toContain(`./deploy/grafana/dashboards:${providers.providers[0].options.path}:ro`)
    expect(compose).toContain('./deploy/grafana/provisioning:/etc/grafana/provisioning:ro')
    expect(sources.datasources[0]).toMatchObject({ uid: 'prometheus', url: 'http://prometheus:9090' })
  })
})
