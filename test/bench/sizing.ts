import { Command, InvalidArgumentError } from 'commander'
import { sizeFor, type Load } from './worker/sizing.ts'

/** Estimates what a load needs, from costs that worker-bench has measured. An estimate: the network and other programs add to it. */
function number(text: string): number {
  const value = Number(text.replaceAll('_', ''))
  if (!(value > 0)) throw new InvalidArgumentError('it must be a number greater than 0.')
  return value
}
const round = (value: number) => Number(value.toPrecision(3))
const options = new Command('sizing')
  .description(
    'Estimates workers, Redis masters and network for a load, from the costs in docs/performance.md.',
  )
  .option('--records <n>', 'records per second', number, 1_000_000)
  .option('--devices <n>', 'devices that report', number, 1_000_000)
  .option('--bytes <n>', 'size of a record', number, 380)
  .option('--chunk <n>', 'records of a chunk (CHUNK_MAX_RECORDS)', number, 2_500)
  .option('--partitions <n>', 'partitions of the topic', number, 60)
  .option('--utilization <n>', 'how busy a processor may be', number, 0.6)
  .option('--json', 'print JSON instead of a table')
  .parse()
  .opts<Load & { json?: true }>()
const size = sizeFor(options)
if (options.json) process.stdout.write(`${JSON.stringify(size, undefined, 2)}\n`)
else console.table(Object.fromEntries(Object.entries(size).map(([name, value]) => [name, round(value)])))
