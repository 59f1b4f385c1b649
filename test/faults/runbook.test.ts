import { chmodSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { expect, test, type TestContext } from 'vitest'
import { patiently } from '../support/eventually.ts'
import { commandsOf } from '../support/docs/runbook-commands.ts'
import { readText } from '../support/docs/repository-files.ts'
import { becomesReady, startRoleProcess } from '../support/processes/role-process.ts'
import { runCommand } from '../support/processes/run-command.ts'
import { openWorkerScenario, type WorkerScenario } from '../support/processes/worker-scenario.ts'
import { update } from '../support/records/tagged-records.ts'
import { repository } from '../support/repository.ts'
import { javaCommand, kafkaJarsFolder } from '../support/servers/kafka-jars.ts'
import { startOwnRedis } from '../support/servers/servers.ts'
import { folderOfTest } from '../support/temporary-folder.ts'

const OLD_PASSWORD = 'old-password'

/**
 * Some need a server in a state that no test can bring about: a damaged log, a hanging transaction, a script that runs. One is for a
 * Redis Cluster, and redis-cli documents it.
 */
const NOT_RUN = [
  /^kafka-transactions\.sh … abort/,
  /^kafka-dump-log\.sh/,
  /SCRIPT KILL$/,
  /--cluster check <node>$/,
]
/** These only name a program. */
const NAMES_ONLY = [/^cache-cli explain$/, /^cache-cli rebuild$/, /^docker compose exec kafka .* …$/]
/** They end with 1 if they find something: a Redis of a test that saves nothing, a dead letter that is still invalid. */
const FINDS_SOMETHING = /cache-cli (?:doctor|errors replay)/

const KAFKA_TOOLS: Readonly<Record<string, string>> = {
  'kafka-configs.sh': 'kafka.admin.ConfigCommand',
  'kafka-topics.sh': 'org.apache.kafka.tools.TopicCommand',
  'kafka-consumer-groups.sh': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  'kafka-transactions.sh': 'org.apache.kafka.tools.TransactionsCommand',
}

type Places = {
  readonly scenario: WorkerScenario
  readonly metricsHost: string
  readonly newRedisPort: number
  readonly idleGroup: string
}

/** A folder with the programs of the runbook, which lead to the servers of this test. */
function writePrograms(folder: string, { scenario, newRedisPort }: Places): void {
  const write = (name: string, script: string) => {
    writeFileSync(join(folder, name), `#!/bin/bash\n${script}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  const port = scenario.redisServer.port
  const password = `redis-cli-real -p ${port} -a new-password --no-auth-warning ping 2>&1 | grep -q PONG && echo new-password || echo ${OLD_PASSWORD}`
  write('redis-cli-real', `PATH=${JSON.stringify(process.env['PATH'])} exec redis-cli "$@"`)
  write(
    'redis-cli',
    `port=${port}
if [ "$1 $2" = '-h new-redis' ]; then port=${newRedisPort}; shift 2; fi
args=("$@")
if [ "$1 $2" = 'REPLICAOF old-redis' ]; then args=(REPLICAOF 127.0.0.1 ${port}); fi
if [ "$1" = '--latency' ]; then exec timeout 1 sleep 0; fi
export REDISCLI_AUTH=$(${password})
out=$(redis-cli-real -p $port "\${args[@]}" 2>&1); code=$?
echo "$out"
if grep -qE '^(\\(error\\)|ERR|WRONGPASS|NOAUTH|NOPERM)' <<< "$out"; then exit 1; fi
exit $code`,
  )
  write(
    'cache-cli',
    `export REDIS_URL=redis://:$(${password})@127.0.0.1:${port}
exec ${process.execPath} --disable-warning=TimeoutNegativeWarning ${repository}/cache-service/cli/main.ts "$@"`,
  )
  for (const [name, main] of Object.entries(KAFKA_TOOLS))
    write(name, `exec ${javaCommand()} -Xmx128m -cp '${kafkaJarsFolder}/*' ${main} "$@"`)
  // What Compose would do, as far as it needs no engine: the service must exist, and a command in it runs here.
  write(
    'docker',
    `shift
case "$1" in
  exec) shift; grep -q "^  $1:" ${repository}/docker-compose.yml || exit 9; shift; exec "$@" ;;
  run) shift 2; grep -q "^  $1:" ${repository}/docker-compose.yml || exit 9; shift; exec cache-cli "$@" ;;
  build | up | stop | restart | logs) grep -q "^  \${!#}:" ${repository}/docker-compose.yml ;;
  *) exit 9 ;;
esac`,
  )
}

function filledIn(text: string, { idleGroup, metricsHost, scenario }: Places): string {
  return text
    .replaceAll('--bootstrap-server …', `--bootstrap-server ${scenario.env['KAFKA_BOOTSTRAP_SERVERS']}`)
    .replaceAll('--group …', `--group ${idleGroup}`)
    .replaceAll('--topic …', `--topic ${scenario.topic}`)
    .replaceAll('--entity-name …', `--entity-name ${scenario.topic}`)
    .replaceAll('retention.ms=…', 'retention.ms=86400000')
    .replaceAll('<partition>:<offset>', '0:0')
    .replaceAll('<partition>', '0')
    .replaceAll('<next>', '1')
    .replaceAll('<group>', idleGroup)
    .replaceAll('<topic>', scenario.topic)
    .replaceAll('localhost:9464', metricsHost)
}

async function openPlaces(context: TestContext) {
  const scenario = await openWorkerScenario(context, {
    partitions: 1,
    ownRedis: { password: OLD_PASSWORD },
    redisClient: { password: OLD_PASSWORD },
  })
  const newRedis = await startOwnRedis({ password: OLD_PASSWORD })
  context.onTestFinished(() => newRedis.stop())
  const worker = await scenario.startWorker()
  const api = await startRoleProcess('api', scenario.env)
  context.onTestFinished(async () => void (await api.stop()))
  const monitor = await startRoleProcess('lag-monitor', scenario.env)
  context.onTestFinished(async () => void (await monitor.stop()))
  const places: Places = {
    scenario,
    metricsHost: new URL(worker.url).host,
    newRedisPort: newRedis.port,
    idleGroup: `${scenario.group}-idle`,
  }
  const folder = folderOfTest()
  writePrograms(folder, places)
  const run = async (text: string) =>
    await runCommand('/bin/bash', ['-c', filledIn(text, places)], {
      cwd: folder,
      timeoutMs: 120_000,
      env: {
        ...scenario.env,
        CACHE_API_URL: api.apiUrl,
        PATH: [folder, process.env['PATH']].join(delimiter),
      },
    })
  return { scenario, worker, api, monitor, run, idleGroup: places.idleGroup }
}

test('every command of the runbook works', async (context) => {
  const { api, idleGroup, monitor, run, scenario, worker } = await openPlaces(context)
  await scenario.send([
    update({ deviceId: 'd1' }),
    { ...update({ deviceId: 'd2' }), value: Buffer.from('not JSON') },
  ])
  await worker.ready()
  await becomesReady(api)
  await becomesReady(monitor)
  const { admin, topic } = scenario
  await admin.setOffsets({ groupId: idleGroup, topic, partitions: [{ partition: 0, offset: '1' }] })
  await run('cache-cli token create --name dashboard --file tokens.jsonl')
  const all = commandsOf(readText('docs/runbook.md'))
  const commands = all.filter(({ text }) => ![...NOT_RUN, ...NAMES_ONLY].some((one) => one.test(text)))
  expect(commands.length).toBeGreaterThan(40)
  const failures: string[] = []
  const seen = new Set<string>()
  for (const { line, text } of commands) {
    if (seen.has(text)) continue
    seen.add(text)
    const { code, stdout, stderr } = await run(text)
    const isFinding = code === 1 && FINDS_SOMETHING.test(text) && !/ settings /.test(stdout)
    if (code !== 0 && !isFinding)
      failures.push(`docs/runbook.md:${line}: \`${text}\` ended with ${code}: ${stdout}${stderr}`)
  }
  expect(failures.join('\n')).toBe('')
}, 600_000)

test('the position can be moved past a batch, as the runbook says', async (context) => {
  const { run, scenario, worker } = await openPlaces(context)
  const { admin, group, redis, topic } = scenario
  await scenario.send([update({ deviceId: 'd0' })])
  await worker.ready()
  await patiently(async () => expect(await redis.exists('device:d0:metadata')).toBe(1))
  await worker.stop()
  await scenario.send([update({ deviceId: 'd1' })])
  await scenario.send([update({ deviceId: 'd2' })])
  const section =
    readText('docs/runbook.md').split('### A batch whose header cannot be read')[1]?.split('\n### ')[0] ?? ''
  const commands = commandsOf(section)
  expect(commands.length).toBeGreaterThan(1)
  for (const { text } of commands) {
    const filled = text
      .replaceAll('<next>', '2')
      .replaceAll('--group …', `--group ${group}`)
      .replaceAll('<group>', group)
    expect(await run(filled)).toMatchObject({ code: 0 })
  }
  const next = await scenario.startWorker()
  await next.ready()
  await patiently(async () => expect(await redis.exists('device:d2:metadata')).toBe(1))
  expect(await redis.exists('device:d1:metadata')).toBe(0)
  await patiently(async () => {
    const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    expect(offsets?.partitions[0]?.offset).toBe('3')
  })
}, 600_000)
