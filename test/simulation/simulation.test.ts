import { describe, test } from 'vitest'
import { freshSeed, simulateWithoutFailure } from '../support/processes/run-simulation.ts'

/**
 * Seeds above 450 that failed once, because of the worker or of the simulation (below it, 13, 14, 226, 253 and 429). They stand
 * for other schedules when create-schedule.ts changes: then they are only seeds that are always tried.
 */
const OLD_SEEDS = [
  953, 1_994, 2_679, 30_045, 600_726, 115_774_795, 143_164_921, 900_018_847, 900_027_111, 910_004_940,
  910_017_882, 930_016_927, 1_183_320_545, 3_000_012_386, 3_011_091, 3_031_803, 3_100_011_962, 3_200_000_726,
  3_300_022_133, 3_400_008_917, 3_500_019_196, 3_500_247_801, 3_600_011_487, 3_700_005_008, 3_900_002_306,
  4_100_021_780, 4_400_002_274, 4_500_010_933, 4_600_000_244, 700_006_223, 700_069_692, 710_003_933,
  727_451_504,
]

describe('with faults drawn from a seed, everything ends as the model says', () => {
  // Of one server. `make faults` tries fresh ones of Clusters, every third from 2.
  test('for a minute of fresh seeds', () =>
    simulateWithoutFailure(['--from', String(freshSeed(0)), '--step', '3', '--seconds', '60']))

  // Always the same ones, so that one kind of schedule after the other is tried.
  test('for the first 450 seeds', () => simulateWithoutFailure(['--from', '1', '--schedules', '450']))

  test.each(OLD_SEEDS)('for seed %i, which failed once', (seed) =>
    simulateWithoutFailure(['--from', String(seed), '--schedules', '1']),
  )
})
