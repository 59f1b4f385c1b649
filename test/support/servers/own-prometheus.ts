import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { runCommand, type Exit } from '../processes/run-command.ts'
import { repository } from '../repository.ts'
import { reservePort } from './free-port.ts'
import { openServerFolder, ServerProcess } from './server-process.ts'

const RULES = join(repository, 'deploy/prometheus/rules.yml')
const ALERTS = join(repository, 'deploy/prometheus/alerts.yml')

const answer = z.object({
  data: z.object({
    alerts: z.array(z.object({ state: z.string(), labels: z.record(z.string(), z.string()) })),
  }),
})

/** Prometheus with the rules of this repository, which scrapes the given addresses every half second. */
export type OwnPrometheus = {
  /** The names of the alerts that are firing. */
  firingAlerts(): Promise<readonly string[]>
  stop(): Promise<void>
}

/** The alerts fire as soon as their expressions are true: `for` is a second. */
export async function startOwnPrometheus(targets: readonly string[]): Promise<OwnPrometheus> {
  const { port, release } = await reservePort()
  const folder = openServerFolder('test-prometheus')
  const url = `http://127.0.0.1:${port}`
  const config = {
    global: { scrape_interval: '500ms', scrape_timeout: '500ms', evaluation_interval: '500ms' },
    rule_files: ['rules.yml', 'alerts.yml'],
    scrape_configs: [{ job_name: 'cache_service', static_configs: [{ targets }] }],
  }
  writeFileSync(join(folder.path, 'prometheus.yml'), JSON.stringify(config)) // JSON is YAML
  copyFileSync(RULES, join(folder.path, 'rules.yml'))
  writeFileSync(
    join(folder.path, 'alerts.yml'),
    readFileSync(ALERTS, 'utf8').replaceAll(/\bfor: \d+m/g, 'for: 1s'),
  )
  const server = new ServerProcess({
    name: `prometheus on port ${port}`,
    command: 'prometheus',
    args: [
      '--config.file=prometheus.yml',
      '--storage.tsdb.path=data',
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    folder: folder.path,
    readyTimeoutMs: 30_000,
    checkReady: async () => {
      const { ok, status } = await fetch(`${url}/-/ready`)
      if (!ok) throw new Error(`/-/ready returned ${status}`)
    },
  })
  async function stop(): Promise<void> {
    await server.kill('SIGTERM')
    await folder.remove()
    await release()
  }
  try {
    await server.start()
  } catch (error) {
    await stop()
    throw explain(error)
  }
  return {
    stop,
    async firingAlerts() {
      const { data } = answer.parse(await (await fetch(`${url}/api/v1/alerts`)).json())
      const firing = data.alerts.filter(({ state }) => state === 'firing')
      return firing.map(({ labels }) => labels['alertname'] ?? '').toSorted()
    },
  }
}

/** Runs `promtool <args>` in the folder of the Prometheus files. */
export async function runPromtool(
  args: readonly string[],
  cwd = join(repository, 'deploy/prometheus'),
): Promise<Exit> {
  try {
    return await runCommand('promtool', args, { cwd, timeoutMs: 120_000 })
  } catch (error) {
    throw explain(error)
  }
}

/** What `promtool check metrics` finds in what `/metrics` has answered. */
export async function checkMetrics(exposition: string): Promise<Exit> {
  const folder = openServerFolder('test-promtool')
  try {
    const path = join(folder.path, 'metrics.txt')
    writeFileSync(path, exposition)
    const command =
      'command -v promtool > /dev/null || { echo ENOENT >&2; kill $$; }; promtool check metrics < "$0"'
    return await runCommand('/bin/sh', ['-c', command, path], { cwd: folder.path, timeoutMs: 30_000 })
  } catch (error) {
    throw explain(error)
  } finally {
    await folder.remove()
  }
}

function explain(error: unknown): unknown {
  if (!/ENOENT|cannot run/.test(String(error))) return error
  return new Error(
    'Prometheus and promtool are not in PATH. Run `make install` (as root on Debian or Ubuntu: apt-get install prometheus)',
    { cause: error },
  )
}
