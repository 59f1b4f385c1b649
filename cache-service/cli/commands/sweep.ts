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
      'remove from the device index the ids whose hash has expired, now; the workers do so on their own',
    )
    .addHelpText('after', examples(['cache-cli sweep', 'how many were removed, and how many are left']))
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
      'another process is sweeping, most likely a worker: try again in half a minute',
    )
  }
  await session.output.record({ removed, devices: await index.count() })
}
