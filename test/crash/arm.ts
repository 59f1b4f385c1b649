import { writeSync } from 'node:fs'
import { installSourceEdits } from '../support/source-edits.ts'
import { CRASH_POINTS } from './crash-points.ts'

// Loaded by `node --import`: the worker that is loaded after it kills itself when it has reached CRASH_POINT for the
// CRASH_VISIT-th time. The service itself knows nothing of it, and without this file the variables have no effect.

const name = process.env['CRASH_POINT'] ?? ''
const point = CRASH_POINTS[name]
if (point === undefined) throw new Error(`CRASH_POINT=${name}: there is no such crash point`)

let visitsLeft = Number(process.env['CRASH_VISIT'] ?? '1')

const crashPoint = {
  /** The next visit is the last one. */
  isNext: () => visitsLeft === 1,
  reached(): void {
    visitsLeft -= 1
    if (visitsLeft > 0) return
    writeSync(2, `crash point reached: ${name}\n`)
    process.kill(process.pid, 'SIGKILL')
  },
}

Object.assign(globalThis, { crashPoint })
installSourceEdits([point.edit])
