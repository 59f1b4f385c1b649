import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { FAULT_IDS, FAULTS, type FaultId } from '../faults/catalogue.ts'
import { publishedResultsPath, readResults, type FaultResult } from '../faults/fault-results.ts'
import { repository } from '../repository.ts'
import { scenarioText } from './scenario-table.ts'

export const faultsPagePath = join(repository, 'docs/faults.md')

const INTRODUCTION = `
# Faults

<!-- Generated from test/support/faults/catalogue.ts and test/faults/results.json: run \`make faults\`. -->

What the service survives, tried on real servers with a real worker process. Load runs before, during and after each fault.
Then one oracle, which knows every acknowledged record, compares every hash, its expiry, the index, the committed offsets and
the dead letters. \`make faults\` runs the long tests; the short ones are part of \`make test\`. Times to recover are those of the
last run, from the end of the fault until all was right again, on a machine with two cores shared by all processes.
`

const GROUPS: Readonly<Record<string, string>> = {
  K: 'Kafka',
  R: 'Redis',
  N: 'The network',
  P: 'The records',
  D: 'The dead-letter topic',
  H: 'The process and its host',
}

/** docs/faults.md as the catalogue and the published results describe it. */
export async function renderFaultsPage(): Promise<string> {
  const results = Object.values(readResults(publishedResultsPath))
  const sections = Object.entries(GROUPS).map(([group, title]) => {
    const rows = FAULT_IDS.filter((id) => id.startsWith(group)).map((id) => row(id, results))
    return [
      `## ${title}`,
      '',
      '| | Fault | What is done | Expected | Seen | Recovered after | Last run |',
      '| --- | --- | --- | --- | --- | --- | --- |',
      ...rows,
    ].join('\n')
  })
  const style = await resolveConfig(faultsPagePath)
  return format([INTRODUCTION, ...sections].join('\n\n'), { ...style, filepath: faultsPagePath })
}

function row(id: FaultId, all: readonly FaultResult[]): string {
  const { fault, done, expected } = FAULTS[id]
  const results = all.filter((result) => result.id === id)
  const seen = results
    .map((result) => (result.passed ? seenText(result) : `FAILED: ${result.test}`))
    .filter(Boolean)
  const times = results.flatMap(({ recoveryMs }) => recoveryMs ?? [])
  const dates = results.map(({ date }) => date).toSorted()
  const cells = [id, fault, done, expected, seen.join('; '), shownTimes(times), dates[0] ?? 'not yet tested']
  return `| ${cells.join(' | ')} |`
}

function seenText({ scenario, seen }: FaultResult): string {
  return [...(scenario === undefined ? [] : [scenarioText(scenario)]), ...(seen === '' ? [] : [seen])].join(
    '; ',
  )
}

function shownTimes(times: readonly number[]): string {
  if (times.length === 0) return ''
  const seconds = (ms: number) => (ms / 1000).toFixed(1)
  const [least, most] = [seconds(Math.min(...times)), seconds(Math.max(...times))]
  return least === most ? `${most} s` : `${least} – ${most} s`
}
