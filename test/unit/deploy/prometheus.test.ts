import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import npmPackage from '../../../package.json' with { type: 'json' }
import { createApiMetrics } from '../../../cache-service/telemetry/api-metrics.ts'
import { createProcessMetrics } from '../../../cache-service/telemetry/process-metrics.ts'
import { createUpdaterMetrics } from '../../../cache-service/telemetry/updater-metrics.ts'
import { createWorkerMetrics } from '../../../cache-service/telemetry/worker-metrics.ts'
import { anchorsOf } from '../../support/docs/markdown.ts'
import { readText } from '../../support/docs/repository-files.ts'

describe('the Prometheus files', () => {
  const alerts = z
    .object({
      groups: z.array(
        z.object({
          name: z.string(),
          rules: z.array(
            z.strictObject({
              alert: z.string().regex(/^CacheService[A-Z]\w+$/),
              expr: z.string(),
              for: z.string().optional(),
              labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
              annotations: z.strictObject({
                summary: z.string(),
                action: z.string(),
                runbook_url: z.string(),
              }),
            }),
          ),
        }),
      ),
    })
    .parse(parse(readText('deploy/prometheus/alerts.yml')))
  const rules = alerts.groups.flatMap(({ rules: list }) => list)
  const prometheus = z
    .looseObject({
      rule_files: z.array(z.string()),
      scrape_configs: z.array(
        z.object({
          job_name: z.string(),
          static_configs: z.array(z.object({ targets: z.array(z.string()) })),
        }),
      ),
    })
    .parse(parse(readText('deploy/prometheus/prometheus.yml')))

  it('scrape the worker of the compose files and load the alerts', () => {
    expect(prometheus.rule_files).toEqual(['alerts.yml'])
    expect(prometheus.scrape_configs).toEqual([
      { job_name: 'cache_service', static_configs: [{ targets: ['cache_service:9464'] }] },
    ])
  })

  it('use only metrics and label values that the service has', async () => {
    const processMetrics = createProcessMetrics('0', '0', 'all')
    createWorkerMetrics(processMetrics, 'topic')
    createApiMetrics(processMetrics)
    createUpdaterMetrics(processMetrics)
    const { registry } = processMetrics
    const names = registry.getMetricsAsArray().map(({ name }) => name)
    const exposition = await registry.metrics()
    expect(rules.length).toBeGreaterThan(9)
    for (const { expr, annotations } of rules) {
      const text = `${expr} ${annotations.summary} ${annotations.action}`
      for (const [name] of text.matchAll(/cache_service_\w+/g)) expect(names).toContain(name)
      for (const [, name = '', value = ''] of expr.matchAll(/(cache_service_\w+_total)\{reason="(\w+)"\}/g)) {
        expect(exposition).toContain(`${name}{reason="${value}"}`)
      }
    }
  })

  it('give each alert a unique name', () => {
    const names = rules.map(({ alert }) => alert)
    expect(new Set(names).size).toBe(names.length)
  })

  it('link each alert to its section of the runbook', () => {
    const page = `${npmPackage.homepage.replace(/#.*$/, '')}/blob/main/docs/runbook.md`
    const sections = anchorsOf(readText('docs/runbook.md'))
    for (const { alert, annotations } of rules) {
      const anchor = alert.toLowerCase()
      expect(annotations.runbook_url).toBe(`${page}#${anchor}`)
      expect(sections, alert).toContain(anchor)
    }
  })

  it('leave no section of the runbook without its alert', () => {
    const sections = [...readText('docs/runbook.md').matchAll(/^### (CacheService\w+)$/gm)].map(
      ([, name]) => name,
    )
    expect(sections.toSorted()).toEqual(rules.map(({ alert }) => alert).toSorted())
  })
})
