/**
 * For `--import`: each SIGUSR2 sets the wall clock of the process back by an hour, as NTP or an operator might. Timers and
 * the monotonic clock continue, as they do then.
 */
const HOUR_MS = 3_600_000
const RealDate = Date
let behindMs = 0

process.on('SIGUSR2', () => (behindMs += HOUR_MS))

globalThis.Date = class extends RealDate {
  constructor(...args: unknown[]) {
    if (args.length === 0) super(RealDate.now() - behindMs)
    else super(...(args as [number]))
  }

  static override now(): number {
    return RealDate.now() - behindMs
  }
} as DateConstructor
