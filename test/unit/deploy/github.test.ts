import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import npmPackage from '../../../package.json' with { type: 'json' }
import { parseDockerfile } from '../../support/docs/dockerfile.ts'
import { readText } from '../../support/docs/repository-files.ts'
import { repository } from '../../support/repository.ts'

describe('the GitHub workflows', () => {
  const step = z.looseObject({
    uses: z.string().optional(),
    run: z.string().optional(),
    with: z.record(z.string(), z.unknown()).optional(),
  })
  const workflow = z.looseObject({
    permissions: z.record(z.string(), z.string()),
    concurrency: z.looseObject({ group: z.string() }),
    jobs: z.record(z.string(), z.looseObject({ 'timeout-minutes': z.number(), steps: z.array(step) })),
  })
  const workflows = globSync('.github/workflows/*.yml', { cwd: repository }).map((path) => ({
    path,
    ...workflow.parse(parse(readText(path))),
  }))
  const steps = workflows.flatMap(({ jobs }) => Object.values(jobs).flatMap((job) => job.steps))
  const commands = steps.map(({ run = '' }) => run).join('\n')

  it('may only read the repository, unless a job says more', () => {
    expect(workflows.length).toBeGreaterThan(0)
    for (const { path, permissions } of workflows) expect(permissions, path).toEqual({ contents: 'read' })
  })

  it('pin every action to a major version', () => {
    for (const { uses } of steps) if (uses !== undefined) expect(uses).toMatch(/^[\w-]+\/[\w-]+@v\d+$/)
  })

  it('run the whole test suite and the quick checks', () => {
    expect(commands).toMatch(/^\.ci\/run$/m)
    expect(commands).toMatch(/^make check$/m)
  })

  it('run only make targets, npm scripts and files that exist', () => {
    const targets = [...readText('Makefile').matchAll(/^([a-z]+):/gm)].map(([, name]) => name)
    for (const [, target] of commands.matchAll(/^make (\S+)/gm)) expect(targets).toContain(target)
    for (const [, script = ''] of commands.matchAll(/\bnpm run (\S+)/g)) {
      expect(npmPackage.scripts).toHaveProperty(script)
    }
    const files = [...commands.matchAll(/(?<![\w$/.])\.?[\w-]+\/[\w./-]+/g)].map(([path]) => path)
    expect(files).toEqual(expect.arrayContaining(['.ci/run', 'deploy/Dockerfile']))
    for (const file of files) expect(existsSync(join(repository, file)), file).toBe(true)
    for (const [, target = ''] of commands.matchAll(/--target (\S+)/g)) {
      expect(parseDockerfile(readText('deploy/Dockerfile')).map(({ name }) => name)).toContain(target)
    }
  })

  it('use the Node.js version of .nvmrc', () => {
    const setUps = steps.filter(({ uses }) => uses?.startsWith('actions/setup-node@'))
    expect(setUps.length).toBeGreaterThan(0)
    for (const setUp of setUps) expect(setUp.with).toMatchObject({ 'node-version-file': '.nvmrc' })
  })
})

describe('dependabot', () => {
  it('looks where the manifests are', () => {
    const manifests: Readonly<Record<string, string>> = {
      npm: 'package-lock.json',
      'github-actions': '.github/workflows/ci.yml',
      docker: 'Dockerfile',
      'docker-compose': 'docker-compose.yml',
      maven: 'pom.xml',
    }
    const { updates } = z
      .looseObject({
        updates: z.array(z.looseObject({ 'package-ecosystem': z.string(), directory: z.string() })),
      })
      .parse(parse(readText('.github/dependabot.yml')))
    expect(updates.map((update) => update['package-ecosystem']).toSorted()).toEqual(
      Object.keys(manifests).toSorted(),
    )
    for (const { directory, 'package-ecosystem': ecosystem } of updates) {
      expect(existsSync(join(repository, directory, manifests[ecosystem] ?? '')), ecosystem).toBe(true)
    }
  })
})
