import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { copiesOf, execForm, instructionsOf, parseDockerfile } from '../../support/docs/dockerfile.ts'
import { copyProductionPackages, productionPackages } from '../../support/processes/production-packages.ts'
import { runCommand, type Exit } from '../../support/processes/run-command.ts'
import { repository } from '../../support/repository.ts'

// Repeats the steps of the Dockerfile in a folder, since not every machine has Docker: its COPYs, its packages (those
// of the lock file that `npm ci` has installed here, without a registry), its entrypoint. Node.js is the one that runs
// this test.

const stages = parseDockerfile(await readFile(join(repository, 'deploy/Dockerfile'), 'utf8'))
const INSTALL = 'npm ci --omit=dev --ignore-scripts'

let image = ''

function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<Exit> {
  return runCommand(command, args, { cwd: image, env: { NODE_ENV: 'production', ...env }, timeoutMs: 50_000 })
}

function start(stage: string, args: readonly string[], env?: Record<string, string>): Promise<Exit> {
  const [command = '', ...entrypoint] = execForm(instructionsOf(stages, stage), 'ENTRYPOINT')
  return run(command, [...entrypoint, ...args], env)
}

const FILL_WITHIN_MS = 60_000

beforeAll(async () => {
  image = await mkdtemp(join(tmpdir(), 'image-'))
  for (const { sources, target } of stages.flatMap(({ instructions }) => copiesOf(instructions))) {
    for (const source of sources) {
      const path = target.endsWith('/') ? join(image, target, source) : join(image, target)
      await mkdir(dirname(path), { recursive: true })
      await cp(join(repository, source), path, { recursive: true })
    }
  }
  await copyProductionPackages(image)
}, FILL_WITHIN_MS)

afterAll(() => rm(image, { recursive: true, force: true }))

describe('the image that the Dockerfile builds', () => {
  it('is installed as in this test: without development dependencies or install scripts', async () => {
    const install = instructionsOf(stages, 'dependencies').find(({ args }) => args.startsWith('npm'))
    expect(install?.args).toMatch(new RegExp(`^${INSTALL}( && npm cache clean --force)?$`))
    expect((await productionPackages()).filter(({ hasInstallScript }) => hasInstallScript)).toEqual([])
  })

  it('has exactly the packages that package.json requires', async () => {
    const { code, stderr, stdout } = await run('npm', ['ls', '--omit=dev', '--all'])
    expect(code, `${stdout}${stderr}`).toBe(0)
  })

  it('prints its version', async () => {
    const manifest = z.object({ version: z.string() })
    const { version } = manifest.parse(JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')))
    const said = await start('cache-service', ['--version'])
    expect(said).toEqual({
      code: 0,
      stdout: `${version}
`,
      stderr: '',
    })
  })

  it('exits with 2 for invalid settings, before it connects to a server', async () => {
    const command = execForm(instructionsOf(stages, 'cache-service'), 'CMD')
    const { code, stderr } = await start('cache-service', command, { REDIS_PORT: 'x', LOG_LEVEL: 'x' })
    expect(code).toBe(2)
    expect(stderr).toContain('2 settings are invalid')
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  it('is unhealthy while no service runs', async () => {
    const [command = '', ...args] = execForm(instructionsOf(stages, 'cache-service'), 'HEALTHCHECK')
    const { code } = await run(command, args, { METRICS_PORT: '1' })
    expect(code).toBe(1)
  })

  it('has cache-cli on its PATH', async () => {
    const link = instructionsOf(stages, 'cache-service').find(({ args }) => args.startsWith('ln -s'))
    const [, source = '', target = ''] =
      /^ln -s \/app\/(\S+) \/usr\/local\/bin\/(\S+)$/.exec(link?.args ?? '') ?? []
    expect(target).toBe('cache-cli')
    const path = join(image, target)
    await symlink(join(image, source), path)
    const { code, stdout } = await run(path, ['--help'])
    expect([code, stdout]).toEqual([0, expect.stringContaining('Usage: cache-cli')])
    expect(await run(path, ['config', 'validate'], { REDIS_PORT: 'x' })).toMatchObject({ code: 2 })
  })

  it('has native codecs that work without their install scripts', async () => {
    const script = `
      const [snappy, lz4] = [require('snappy'), require('lz4-napi')]
      const text = Buffer.from('abc'.repeat(100))
      const same = [snappy.uncompressSync(snappy.compressSync(text)), lz4.decompressFrameSync(lz4.compressFrameSync(text))]
      process.exitCode = same.every((copy) => text.equals(Buffer.from(copy))) ? 0 : 3`
    expect(await run('node', ['-e', script])).toMatchObject({ code: 0, stderr: '' })
  })

  it('contains the simulated normalizer, in a stage of its own', async () => {
    const { code, stdout } = await start('normalizer', ['--help'])
    expect(code).toBe(0)
    expect(stdout).toContain('NORMALIZER_RATE')
  })
})
