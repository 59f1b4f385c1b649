import { SWEEPER_LEASE_KEY } from '../../../shared/contract/keys.ts'
import { createDeviceIndex } from '../../redis/devices/device-index.ts'
import { createLease } from '../../redis/lease.ts'
import { SWEEP_LEASE_MS, sweepOnce } from '../../redis/devices/sweeper.ts'
import { CliError } from '../cli-error.ts'
import { examples, type Cli } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import type { Session } from '../session.ts'

export function registerSweepCommand({ program, perform }: Cli): void {
  program
    .command('sweep')
    .description(
      'remove ids whose hash has expired from the device index now; the workers also do this regularly',
    )
    .addHelpText(
      'after',
      examples(['cache-cli sweep', 'print how many ids were removed and how many remain']),
    )
    .action(() => perform(sweep))
}

async function sweep(session: Session): Promise<void> {
  const redis = await session.redis()
  const index = createDeviceIndex(redis)
  const lease = createLease(redis, SWEEPER_LEASE_KEY, session.context.processId, SWEEP_LEASE_MS)
  const pages = session.progress('pages swept')
  const removed = await sweepOnce(index, lease, session.stop, () => pages.advance(1))
  pages.end()
  if (removed === undefined) {
    throw new CliError(
      EXIT.refused,
      'another process is sweeping, probably a worker: try again in 30 seconds',
    )
  }
  await session.output.record({ removed, devices: await index.count() })
}
