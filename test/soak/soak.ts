import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../support/repository.ts'
import { htmlReport, markdownReport } from './report.ts'
import { runSoak } from './run-soak.ts'

// `make soak`: MINUTES=20 by default, SEED draws the faults. Ctrl-C ends the load; what has been measured is still
// checked and reported. A second Ctrl-C exits immediately.

const minutes = Number(process.env['MINUTES'] || '20')
const seed = Number(process.env['SEED'] || Math.floor(Math.random() * 1e9))
if (!(minutes > 0) || !Number.isInteger(seed)) {
  process.stderr.write('MINUTES must be a positive number, and SEED a whole one.\n')
  process.exit(2)
}
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) process.exit(130)
    console.log(
      'ending the load, and checking what has been written (press Ctrl-C again to exit immediately)',
    )
    stopping.abort()
  })
}
console.log(`soak test of ${minutes} minutes, seed ${seed}`)
const report = await runSoak({ minutes, seed, stop: stopping.signal, note: (text) => console.log(text) })
const folder = join(repository, '.cache', 'soak')
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'report.md'), markdownReport(report))
writeFileSync(join(folder, 'report.html'), htmlReport(report))
writeFileSync(join(folder, 'worker.log'), report.workerLog)
writeFileSync(join(folder, 'samples.json'), JSON.stringify(report.samples))
console.log(
  `\n${markdownReport(report)}\nThe report is in ${join('.cache', 'soak')}: report.md, report.html, worker.log.`,
)
process.exitCode = report.problems.length > 0 ? 1 : report.isInterrupted ? 130 : 0
