import { expect, test } from 'vitest'
import { sizeFor } from '../../bench/worker/sizing.ts'

const load = {
  records: 1_000_000,
  devices: 1_000_000,
  bytes: 380,
  chunk: 2_500,
  partitions: 60,
  utilization: 0.6,
}

test('the part that is written is what the measured workloads have', () => {
  expect(sizeFor({ ...load, devices: 100_000, partitions: 3 }).written).toBeCloseTo(0.963, 2)
  expect(sizeFor({ ...load, devices: 1_000, partitions: 3 }).written).toBeCloseTo(0.133, 2)
})

test('a load of distinct devices needs Redis most, one of few devices workers', () => {
  const many = sizeFor({ ...load, devices: 1e9 })
  expect([many.workers, many.redisMasters]).toEqual([16, 12])
  const few = sizeFor({ ...load, devices: 10_000 })
  expect(few.redisMasters).toBeLessThan(few.workers / 10)
})

test('one device is one write per chunk', () => {
  expect(sizeFor({ ...load, devices: 1 }).written).toBe(1 / 2_500)
})
