import * as fc from 'fast-check'
import type { RealSystem } from './real-system.ts'

/** What decides which commands are possible. The content of the cache is the oracle's business. */
export type Model = { workers: number; frozen: number; hasDeadLetters: boolean }

type Command = fc.AsyncCommand<Model, RealSystem>

const MOST_WORKERS = 3

function command(
  name: string,
  run: (real: RealSystem, model: Model) => Promise<void> | void,
  check: (model: Model) => boolean = () => true,
): Command {
  return {
    check,
    run: async (model, real) => {
      await run(real, model)
      model.workers = real.workers.length
      model.frozen = real.workers.filter(({ isFrozen }) => isFrozen).length
    },
    toString: () => name,
  }
}

const hasWorkers = ({ workers }: Model) => workers > 0
const index = fc.nat({ max: MOST_WORKERS - 1 })
const deletable = fc.nat({ max: 3 }).map((n) => `deletable-${n}`)
const count = fc.integer({ min: 1, max: 300 })
const position = fc.nat({ max: 10_000 })

/** Each kind of command as often as it stands in the list. */
export const COMMANDS: fc.Arbitrary<Command>[] = [
  fc
    .tuple(count, fc.nat({ max: 1_000_000 }))
    .map(([n, seed]) => command(`produce ${n} (seed ${seed})`, (real) => real.produce(n, seed))),
  fc
    .tuple(count, fc.nat({ max: 1_000_000 }))
    .map(([n, seed]) => command(`produce ${n} (seed ${seed})`, (real) => real.produce(n, seed))),
  deletable.map((id) => command(`update ${id}`, (real) => real.updateDeletable(id))),
  deletable.map((id) => command(`delete ${id}`, (real) => real.delete(id))),
  fc
    .tuple(
      fc.nat({ max: 2 }),
      fc.uniqueArray(fc.integer({ min: 1, max: 60_000 }), { minLength: 2, maxLength: 8 }),
    )
    .map(([n, ms]) =>
      command(`reorder shuffled-${n}: ${ms.join(' ')}`, (real) => real.reorder(`shuffled-${n}`, ms)),
    ),
  fc
    .tuple(count, position)
    .map(([n, from]) => command(`duplicate ${n} from ${from}`, (real) => real.duplicate(n, from))),
  fc.constant(null).map(() =>
    command(
      'add a worker',
      (real) => real.addWorker(),
      ({ workers }) => workers < MOST_WORKERS,
    ),
  ),
  index.map((n) => command(`kill worker ${n}`, (real) => real.killWorker(n), hasWorkers)),
  index.map((n) => command(`stop worker ${n}`, (real) => real.stopWorker(n), hasWorkers)),
  index.map((n) => command(`freeze worker ${n}`, (real) => real.freezeWorker(n), hasWorkers)),
  fc.constant(null).map(() =>
    command(
      'thaw the workers',
      (real) => real.thawWorkers(),
      ({ frozen }) => frozen > 0,
    ),
  ),
  fc.constant(null).map(() => command('save Redis', (real) => real.redis.save())),
  fc.constant(null).map(() => command('crash Redis', (real) => real.lose(() => real.redis.crashPrimary()))),
  fc.constant(null).map(() =>
    command('save and crash Redis', (real) =>
      real.lose(async () => {
        await real.redis.save()
        await real.redis.crashPrimary()
      }),
    ),
  ),
  fc.constant(null).map(() => command('wipe Redis', (real) => real.lose(() => real.redis.flushAll()))),
  fc.constant(null).map(() => command('detach the replica', (real) => real.redis.detachReplica())),
  fc.constant(null).map(() => command('fail over', (real) => real.lose(() => real.redis.failOver()))),
  fc.constant(null).map(() => command('break the connections', (real) => real.redis.breakConnections())),
  fc.constant(null).map(() => command('flush the scripts', (real) => real.redis.flushScripts())),
  fc.constant(null).map(() => command('sweep', (real) => real.cli(['sweep'], {}, [0, 5]))),
  fc.constant(null).map(() => command('rebuild', (real) => real.cli(['rebuild', '--yes', '--no-wait']))),
  fc.tuple(fc.integer({ min: 1, max: 20 }), position).map(([n, from]) =>
    command(`dead letters of ${n} records from ${from}`, async (real, model) => {
      await real.writeDeadLetters(n, from)
      model.hasDeadLetters = true
    }),
  ),
  fc.constantFrom('cache' as const, 'topic' as const).map((to) =>
    command(
      `replay to the ${to}`,
      (real) => real.replay(to),
      ({ hasDeadLetters }) => hasDeadLetters,
    ),
  ),
]
