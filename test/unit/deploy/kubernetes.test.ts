import { Ajv } from 'ajv'
import { existsSync, globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { parseConfig } from '../../../cache-service/config/config.ts'
import { options } from '../../../cache-service/config/options.ts'
import { metricNamesIn } from '../../support/docs/metric-names.ts'
import { readText } from '../../support/docs/repository-files.ts'
import { repository } from '../../support/repository.ts'

const FOLDER = 'deploy/kubernetes'

const labels = z.record(z.string(), z.string())
const manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
})
const selector = z.looseObject({ matchLabels: labels })
const httpGet = z.looseObject({ httpGet: z.object({ path: z.string(), port: z.string() }) })
const deployment = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({
    replicas: z.number(),
    selector,
    template: z.looseObject({
      metadata: z.looseObject({ labels }),
      spec: z.looseObject({
        serviceAccountName: z.string(),
        terminationGracePeriodSeconds: z.number(),
        topologySpreadConstraints: z.array(
          z.looseObject({ topologyKey: z.string(), labelSelector: selector }),
        ),
        containers: z.tuple([
          z.looseObject({
            image: z.string(),
            args: z.array(z.string()),
            env: z.array(z.object({ name: z.string(), value: z.string() })),
            ports: z.array(z.object({ name: z.string(), containerPort: z.number() })),
            startupProbe: httpGet,
            livenessProbe: httpGet,
            readinessProbe: httpGet,
            volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
          }),
        ]),
        volumes: z.array(z.looseObject({ name: z.string() })),
      }),
    }),
  }),
})
const kustomization = z.strictObject({
  apiVersion: z.literal('kustomize.config.k8s.io/v1beta1'),
  kind: z.literal('Kustomization'),
  namespace: z.string().optional(),
  resources: z.array(z.string()),
  images: z.array(z.strictObject({ name: z.string(), newName: z.string(), newTag: z.string() })).optional(),
  patches: z
    .array(
      z.strictObject({ target: z.strictObject({ kind: z.string(), name: z.string() }), patch: z.string() }),
    )
    .optional(),
})
const patchOperation = z.strictObject({
  op: z.enum(['replace', 'remove']),
  path: z.string().regex(/^(?:\/[\w-]+)+$/),
  value: z.unknown().optional(),
})

const manifestPaths = globSync(`${FOLDER}/**/*.yaml`, { cwd: repository }).filter(
  (path) => !path.endsWith('kustomization.yaml'),
)
const kustomizations = globSync(`${FOLDER}/**/kustomization.yaml`, { cwd: repository })
const read = (path: string) =>
  parseAllDocuments(readText(path)).map((document) => manifest.parse(document.toJS()))
const manifests = manifestPaths.flatMap(read)
const deployments = manifests.filter(({ kind }) => kind === 'Deployment').map((one) => deployment.parse(one))
const config = z.looseObject({ data: labels }).parse(manifests.find(({ kind }) => kind === 'ConfigMap')).data

const { $defs, kinds } = z
  .object({ $defs: z.record(z.string(), z.unknown()), kinds: labels })
  .parse(JSON.parse(readText('test/fixtures/kubernetes/definitions.json')))
const ajv = new Ajv({ strict: false, allErrors: true })

function problemsOf(object: { kind: string }): unknown[] {
  const definition = kinds[object.kind]
  if (definition === undefined) throw new Error(`the fixture has no ${object.kind}`)
  const validate = ajv.compile({ $ref: `#/$defs/${definition}`, $defs })
  validate(object)
  return validate.errors ?? []
}

/** As kustomize applies the operations that our overlays use. */
function patched(object: unknown, operations: readonly z.output<typeof patchOperation>[]): unknown {
  const copy: unknown = structuredClone(object)
  for (const { op, path, value } of operations) {
    const names = path.split('/').slice(1)
    const last = names.pop() ?? ''
    let parent = z.record(z.string(), z.unknown()).parse(copy)
    let root = parent
    for (const name of names) {
      root = parent
      parent = z.record(z.string(), z.unknown()).parse(root[name])
      root[name] = parent
    }
    if (!(last in parent)) throw new Error(`there is no ${path}`)
    if (op === 'remove') delete parent[last]
    else parent[last] = value
  }
  return copy
}

describe('the manifests for Kubernetes', () => {
  it('follow the definitions of Kubernetes', () => {
    expect(manifests.length).toBeGreaterThan(8)
    for (const one of manifests)
      if (one.apiVersion !== 'keda.sh/v1alpha1') expect(problemsOf(one), one.metadata.name).toEqual([])
  })

  it('are refused by the definitions if a field is misspelled', () => {
    const [first] = manifests.filter(({ kind }) => kind === 'PodDisruptionBudget')
    const misspelled = { ...manifest.parse(first), spec: { maxUnavailble: 1 } }
    expect(problemsOf(misspelled)).not.toEqual([])
  })

  it('are all in a kustomization, whose files exist', () => {
    const listed = kustomizations.flatMap((path) =>
      kustomization.parse(parse(readText(path))).resources.map((resource) => join(dirname(path), resource)),
    )
    for (const path of listed) expect(existsSync(join(repository, path)), path).toBe(true)
    expect(listed.filter((path) => path.endsWith('.yaml')).toSorted()).toEqual(manifestPaths.toSorted())
  })

  it('remain valid when the overlays have changed them', () => {
    for (const path of kustomizations) {
      const { images = [], patches = [] } = kustomization.parse(parse(readText(path)))
      for (const { name } of images)
        expect(deployments.map(({ spec }) => spec.template.spec.containers[0].image)).toContain(name)
      for (const { patch, target } of patches) {
        const found = manifests.find(
          ({ kind, metadata }) => kind === target.kind && metadata.name === target.name,
        )
        const changed = patched(found, z.array(patchOperation).parse(parse(patch)))
        expect(problemsOf(manifest.parse(changed)), path).toEqual([])
      }
    }
  })

  it('run each role, with valid settings', () => {
    const roles = deployments.map(({ spec }) => spec.template.spec.containers[0].args)
    expect(roles.toSorted()).toEqual([['api'], ['kv-updater'], ['lag-monitor'], ['worker']])
    const names = options.flatMap(({ kind, name }) => (kind === 'secret' ? [name, `${name}_FILE`] : [name]))
    for (const { metadata, spec } of deployments) {
      const own = Object.fromEntries(
        spec.template.spec.containers[0].env.map(({ name, value }) => [name, value]),
      )
      const env = { ...config, ...own }
      for (const name of Object.keys(env)) expect(names, metadata.name).toContain(name)
      const token = JSON.stringify({ name: 'a', sha256: '0'.repeat(64), scopes: ['read'] })
      const parsed = parseConfig(env, (path) => (path.endsWith('tokens.jsonl') ? token : 'secret'))
      expect(parsed, metadata.name).toMatchObject({ kind: 'ok', warnings: [] })
    }
  })

  it('mount the files that the settings name', () => {
    for (const { spec } of deployments) {
      const [{ env, volumeMounts }] = spec.template.spec.containers
      const files = env.filter(({ name }) => name.endsWith('_FILE'))
      expect(files.length).toBeGreaterThan(0)
      for (const { value } of files)
        expect(volumeMounts.some(({ mountPath }) => dirname(value) === mountPath)).toBe(true)
      const volumes = spec.template.spec.volumes.map(({ name }) => name)
      expect(volumeMounts.map(({ name }) => name)).toEqual(volumes)
    }
  })

  it('confine the containers, and give them time to shut down', () => {
    const shutdown = Number(options.find(({ name }) => name === 'SHUTDOWN_TIMEOUT_S')?.default)
    for (const { spec } of deployments) {
      const pod = spec.template.spec
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(shutdown)
      expect(pod).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true },
      })
      expect(pod.containers[0]).toMatchObject({
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        resources: { limits: { memory: '512Mi' } },
      })
    }
  })

  it('probe what each role serves: liveness never depends on a server', () => {
    for (const { spec } of deployments) {
      const [{ env, livenessProbe, ports, readinessProbe, startupProbe }] = spec.template.spec.containers
      expect(livenessProbe.httpGet).toEqual({ path: '/livez', port: 'metrics' })
      expect(startupProbe.httpGet).toEqual({ path: '/livez', port: 'metrics' })
      expect(readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'metrics' })
      const numbers = Object.fromEntries(
        ports.map(({ containerPort, name }) => [name, String(containerPort)]),
      )
      const settings = Object.fromEntries(env.map(({ name, value }) => [name, value]))
      expect(numbers['metrics']).toBe(settings['METRICS_PORT'])
      expect(numbers['http']).toBe(settings['PORT'])
    }
  })

  it('select the pods of their own deployment', () => {
    const budgets = manifests.filter(({ kind }) => kind === 'PodDisruptionBudget')
    expect(budgets).toHaveLength(deployments.length)
    for (const { metadata, spec } of deployments) {
      const own = spec.template.metadata.labels
      expect(spec.selector.matchLabels).toEqual(own)
      const budget = budgets.find((one) => one.metadata.name === metadata.name)
      expect(budget).toMatchObject({ spec: { maxUnavailable: 1, selector: { matchLabels: own } } })
      const spread = spec.template.spec.topologySpreadConstraints
      expect(spread.map(({ topologyKey }) => topologyKey)).toEqual([
        'kubernetes.io/hostname',
        'topology.kubernetes.io/zone',
      ])
      for (const { labelSelector } of spread) expect(labelSelector.matchLabels).toEqual(own)
    }
  })

  it('let an overlay scale the workers by a series that Prometheus records', () => {
    const scaled = z
      .looseObject({
        spec: z.looseObject({
          scaleTargetRef: z.object({ name: z.string() }),
          triggers: z.array(z.looseObject({ metadata: z.looseObject({ query: z.string() }) })),
        }),
      })
      .parse(manifests.find(({ kind }) => kind === 'ScaledObject'))
    expect(deployments.map(({ metadata }) => metadata.name)).toContain(scaled.spec.scaleTargetRef.name)
    for (const { metadata } of scaled.spec.triggers)
      for (const name of metricNamesIn(metadata.query))
        expect(readText('deploy/prometheus/rules.yml')).toContain(`record: ${name}\n`)
  })
})
