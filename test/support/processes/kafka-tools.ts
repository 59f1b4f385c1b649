import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { repository } from '../repository.ts'
import { javaCommand, kafkaJarsFolder } from '../servers/kafka-jars.ts'
import { runCommand } from './run-command.ts'

// Kafka's own command-line tools, run from its jars.

const TOOLS = 'org.apache.kafka.tools.consumer'
const jvm = ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', join(kafkaJarsFolder, '*')]

export type JavaConsumer = { stop(): Promise<void> }

/** The consumer of Kafka's own client, as a member of a group of the old or the new protocol (KIP-848). */
export function startJavaConsumer(
  { brokers, group, topic }: { brokers: readonly string[]; group: string; topic: string },
  protocol: 'classic' | 'consumer',
  consumerProperties: readonly string[] = ['auto.offset.reset=earliest'],
): JavaConsumer {
  const properties = [`group.protocol=${protocol}`, 'client.id=java-app', ...consumerProperties]
  const child = spawn(
    javaCommand(),
    [
      ...[...jvm, `${TOOLS}.ConsoleConsumer`],
      ...['--bootstrap-server', brokers.join(), '--topic', topic, '--group', group],
      ...properties.flatMap((property) => ['--consumer-property', property]),
    ],
    { stdio: 'ignore' },
  )
  const exit = once(child, 'exit')
  return {
    async stop() {
      child.kill('SIGTERM')
      await exit
    },
  }
}

export type DescribedPartition = {
  readonly topic: string
  readonly partition: number
  readonly committed: number | null
  readonly end: number
  readonly records: number | null
  readonly owner: string | null
}

/** What `kafka-consumer-groups --describe` prints about the partitions of a group. */
export async function describeGroup(
  brokers: readonly string[],
  group: string,
): Promise<DescribedPartition[]> {
  const args = [`${TOOLS}.group.ConsumerGroupCommand`, '--bootstrap-server', brokers.join()]
  const { code, stderr, stdout } = await runCommand(
    javaCommand(),
    [...jvm, ...args, '--describe', '--group', group],
    { cwd: repository, timeoutMs: 120_000 },
  )
  if (code !== 0) throw new Error(`kafka-consumer-groups ended with ${code}:\n${stdout}${stderr}`)
  const [names = [], ...rows] = stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((cells) => cells.length > 5)
  return rows
    .map((cells): DescribedPartition => {
      const cell = (name: string) => cells[names.indexOf(name)] ?? ''
      const number = (name: string) => (cell(name) === '-' ? null : Number(cell(name)))
      return {
        topic: cell('TOPIC'),
        partition: Number(cell('PARTITION')),
        committed: number('CURRENT-OFFSET'),
        end: Number(cell('LOG-END-OFFSET')),
        records: number('LAG'),
        owner: cell('CLIENT-ID') === '-' ? null : `${cell('CLIENT-ID')} at ${cell('HOST').replace('/', '')}`,
      }
    })
    .toSorted((a, b) => a.partition - b.partition)
}
