import { describe, expect, test } from 'vitest'
import { createReadingQueue } from '../../../cache-service/http/reading-queue.ts'

/** Reads that end when the test says so, and the order in which they began. */
function setUp(maxDevices: number) {
  const queue = createReadingQueue(maxDevices)
  const begun: string[] = []
  const read = (name: string, devices: number) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const result = queue(devices, () => {
      begun.push(name)
      return promise
    })
    return { result, end: () => resolve(name), fail: () => reject(new Error(name)) }
  }
  return { begun, read }
}

/** All promises that can settle by themselves have done so. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('the queue of reads', () => {
  test('begins reads while fewer than the maximum of devices are in progress, then in order of arrival', async () => {
    const { begun, read } = setUp(10)
    const [a, b, c, d] = [read('a', 9), read('b', 100), read('c', 1), read('d', 1)]
    await settled()
    expect(begun).toEqual(['a', 'b'])
    a.end()
    expect(await a.result).toBe('a')
    await settled()
    expect(begun).toEqual(['a', 'b'])
    b.end()
    await settled()
    expect(begun).toEqual(['a', 'b', 'c', 'd'])
    c.end()
    d.end()
    expect(await Promise.all([b.result, c.result, d.result])).toEqual(['b', 'c', 'd'])
  })

  test('goes on after a read that failed', async () => {
    const { begun, read } = setUp(1)
    const [a, b] = [read('a', 1), read('b', 1)]
    a.fail()
    await expect(a.result).rejects.toThrow('a')
    await settled()
    expect(begun).toEqual(['a', 'b'])
    b.end()
    expect(await b.result).toBe('b')
  })
})
