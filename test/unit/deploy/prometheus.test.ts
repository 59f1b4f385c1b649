import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { LAG_STATES } from '../../../cache-service/core/workers/lag-state.ts'
import npmPackage from '../../../package.json' with { type: 'json' }
import { anchorsOf } from '../../support/docs/markdown.ts'
import { metricNamesIn, ownMetrics } from '../../support/docs/metric-names.ts'
import { readText } from '../../support/docs/repository-files.ts'

const alertRule = z.strictObject({
  alert: z.string().regex(/^CacheService[A-Z]\w+$/),
  expr: z.string(),
  for: z.string().regex(/^\d+m$/),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
  annotations: z.strictObject({ summary: z.string(), action: z.string(), runbook_url: z.string() }),
})
const recordingRule = z.strictObject({ record: z.string(), expr: z.string() })

function rulesOf<Rule extends z.ZodType>(path: string, rule: Rule): z.output<Rule>[] {
  const file = z.object({ groups: z.array(z.object({ name: z.string(), rules: z.array(rule) })) })
  return file.parse(parse(readText(path))).groups.flatMap(({ rules }) => rules)
}

const alerts = rulesOf('deploy/prometheus/alerts.yml', alertRule)
const recorded = rulesOf('deploy/prometheus/rules.yml', recordingRule)
const prometheus = z
  .looseObject({
    rule_files: z.array(z.string()),
    scrape_configs: z.array(
      z.object({ job_name: z.string(), static_configs: z.array(z.object({ targets: z.array(z.string()) })) }),
    ),
  })
  .parse(parse(readText('deploy/prometheus/prometheus.yml')))
const tests = z
  .object({
    tests: z.array(
      z.object({
        name: z.string(),
        input_series: z.array(z.object({ series: z.string(), values: z.string() })),
        promql_expr_test: z.array(
          z.object({
            expr: z.string(),
            eval_time: z.string(),
            exp_samples: z.array(z.object({ labels: z.string(), value: z.literal(1) })),
          }),
        ),
      }),
    ),
  })
  .parse(parse(readText('deploy/prometheus/tests.yml'))).tests

describe('the Prometheus files', () => {
  it('scrape the service of the compose files, and load the rules', () => {
    expect(prometheus.rule_files).toEqual(['rules.yml', 'alerts.yml'])
    expect(prometheus.scrape_configs[0]).toEqual({
      job_name: 'cache_service',
      static_configs: [{ targets: ['cache_service:9464', 'lag_monitor:9464'] }],
    })
  })

  it('use only metrics that the service has, or that a rule records', async () => {
    const { names } = await ownMetrics()
    const known = new Set([...names, ...recorded.map(({ record }) => record), 'up'])
    expect(alerts.length).toBeGreaterThan(20)
    expect(recorded.length).toBeGreaterThan(5)
    for (const { expr } of [...alerts, ...recorded]) {
      const used = metricNamesIn(expr)
      expect(used.length, expr).toBeGreaterThan(0)
      for (const name of used) expect(known, expr).toContain(name)
    }
    for (const { annotations } of alerts) {
      for (const [name] of `${annotations.summary} ${annotations.action}`.matchAll(/cache_service_\w+/g))
        expect(known).toContain(name)
    }
    for (const { series } of tests.flatMap(({ input_series }) => input_series))
      expect(known, series).toContain(series.replace(/\{.*/, ''))
  })

  it('use only values of closed label sets that the service has', async () => {
    const { exposition } = await ownMetrics()
    const labelled = /(cache_service_\w+)\{(reason|result|codec|kind)(?:=~?|!=)"([\w|]+)"/g
    const texts = [...alerts, ...recorded].map(({ expr }) => expr)
    const pairs = [...texts, ...tests.flatMap(({ input_series }) => input_series.map(({ series }) => series))]
      .map((text) => text.replace(/\{job=.*instance="[^"]*", (?:topic="t", )?/, '{'))
      .flatMap((text) => [...text.matchAll(labelled)])
      .filter(([, name]) => !/_(?:restarts|unread)/.test(name ?? ''))
    expect(pairs.length).toBeGreaterThan(10)
    for (const [text, name, label, values = ''] of pairs) {
      for (const value of values.split('|')) {
        const sample = new RegExp(`^${name}\\{(?:.*,)?${label}="${value}"`, 'm')
        expect(exposition, text).toMatch(sample)
      }
    }
  })

  it('name only states of a lag that the lag monitor reports', () => {
    const texts = [
      ...alerts.map(({ expr }) => expr),
      ...tests.flatMap(({ input_series }) => input_series.map(({ series }) => series)),
    ]
    const named = texts
      .flatMap((text) => [...text.matchAll(/group_partitions\{.*?state=~?"([\w|]+)"/g)])
      .flatMap(([, states = '']) => states.split('|'))
    expect(new Set(named)).toEqual(new Set(LAG_STATES.filter((state) => state !== 'unknown')))
  })

  it('name only routes that the API has', () => {
    const expressions = recorded.map(({ expr }) => expr).join('\n')
    const routes = [...expressions.matchAll(/route=~"([^"]+)"/g)].flatMap(([, list = '']) => list.split('|'))
    expect(routes.length).toBeGreaterThan(1)
    const source = readText('cache-service/http/routes/devices.ts')
    for (const route of routes) expect(source).toContain(`'${route}'`)
  })

  it('give each alert a unique name', () => {
    const names = alerts.map(({ alert }) => alert)
    expect(new Set(names).size).toBe(names.length)
  })

  it('test each alert: when it fires, and when it does not yet, or no longer', () => {
    for (const { alert } of alerts) {
      const sample = `{alertname="${alert}"}`
      const own = tests.filter(({ name }) => name.split(':')[0] === alert)
      const checks = own.flatMap(({ promql_expr_test }) => promql_expr_test)
      const firing = checks.filter(({ exp_samples }) => exp_samples.some(({ labels }) => labels === sample))
      expect(firing.length, alert).toBeGreaterThan(0)
      expect(checks.length - firing.length, alert).toBeGreaterThan(0)
    }
  })

  it('link each alert to its section of the runbook', () => {
    const page = `${npmPackage.homepage.replace(/#.*$/, '')}/blob/main/docs/runbook.md`
    const sections = anchorsOf(readText('docs/runbook.md'))
    for (const { alert, annotations } of alerts) {
      const anchor = alert.toLowerCase()
      expect(annotations.runbook_url).toBe(`${page}#${anchor}`)
      expect(sections, alert).toContain(anchor)
    }
  })

  it('leave no section of the runbook without its alert', () => {
    const sections = [...readText('docs/runbook.md').matchAll(/^### (CacheService\w+)$/gm)].map(
      ([, name]) => name,
    )
    expect(sections.toSorted()).toEqual(alerts.map(({ alert }) => alert).toSorted())
  })
})

describe('the search for metric names', () => {
  it.each([
    ['sum by (job) (rate(a_total{x="b_total", y=~"c|d"}[5m])) > 0', ['a_total']],
    ['a:b:sum / on (job) group_left () c unless on (x) max_over_time(d[5m:]) == 1', ['a:b:sum', 'c', 'd']],
    ['time() - max(a or b and on (i) c{s="e"} == 1) > 3e3', ['a', 'b', 'c']],
  ])('finds those of %s', (expression, names) => {
    expect(metricNamesIn(expression)).toEqual(names)
  })
})
