import { promisify } from 'node:util'
import { gzip, gzipSync, zstdCompress, zstdCompressSync } from 'node:zlib'
import * as fc from 'fast-check'
import { compressFrame, compressFrameSync } from 'lz4-napi'
import { compressSync } from 'snappy'
import { describe, expect, test } from 'vitest'
import {
  CODEC_NAMES,
  decompress,
  decompressSnappy,
  type CodecName,
} from '../../../cache-service/kafka/codecs.ts'

const MIB = 1024 * 1024
const XERIAL_HEADER = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00, 0, 0, 0, 1, 0, 0, 0, 1]

const compressors: Readonly<Record<CodecName, (bytes: Buffer) => Promise<Buffer>>> = {
  gzip: promisify(gzip),
  snappy: async (bytes) => compressSync(bytes),
  lz4: (bytes) => compressFrame(bytes),
  zstd: promisify(zstdCompress),
}

function xerial(...blocks: Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(XERIAL_HEADER)]
  for (const block of blocks) {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

/** The format of Java's SnappyOutputStream, with blocks of the given size. */
function xerialOf(bytes: Buffer, blockBytes: number): Buffer {
  const blocks: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += blockBytes) {
    blocks.push(compressSync(bytes.subarray(at, at + blockBytes)))
  }
  return xerial(...blocks)
}

const text = Buffer.from('{"device_id": "efento-0001", "values": [21.5]}\n'.repeat(5_000))

describe.each(CODEC_NAMES)('%s', (name) => {
  test.each([
    ['an empty buffer', Buffer.alloc(0)],
    ['one byte', Buffer.from([7])],
    ['text', text],
    ['many zeros', Buffer.alloc(3 * MIB)],
  ])('round-trips %s', async (_, bytes) => {
    expect((await decompress(name, await compressors[name](bytes))).equals(bytes)).toBe(true)
  })

  test('rejects unreadable bytes', async () => {
    const compressed = await compressors[name](text)
    const halved = compressed.subarray(0, compressed.length >> 1)
    await expect(decompress(name, halved)).rejects.toBeInstanceOf(Error)
    await expect(decompress(name, Buffer.from('no codec wrote this'))).rejects.toBeInstanceOf(Error)
  })
})

describe('snappy', () => {
  test('written by librdkafka, as one raw block, is decompressed', () => {
    expect(decompressSnappy(compressSync(text)).equals(text)).toBe(true)
  })

  test.each([1, 3, 7])('written by Java, in %d xerial frames, is decompressed', (count) => {
    const framed = xerialOf(text, Math.ceil(text.length / count))
    expect(decompressSnappy(framed).equals(text)).toBe(true)
  })

  test('with a xerial header but no frames is decompressed to an empty buffer', () => {
    expect(decompressSnappy(xerial())).toEqual(Buffer.alloc(0))
  })

  test('round-trips any bytes in both formats', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.integer({ min: 1, max: 100 }),
        (array, blockBytes) => {
          const bytes = Buffer.from(array)
          expect(decompressSnappy(compressSync(bytes))).toEqual(bytes)
          expect(decompressSnappy(xerialOf(bytes, blockBytes))).toEqual(bytes)
        },
      ),
    )
  })

  test('is decompressed from a slice of a larger buffer into a buffer of its own', () => {
    const [before, block] = [Buffer.from('before'), compressSync(Buffer.from('value'))]
    const whole = Buffer.concat([before, block])
    const read = decompressSnappy(whole.subarray(before.length))
    whole.fill(0)
    expect(read.toString()).toBe('value')
  })

  const block = compressSync(Buffer.from('value'))

  test.each([
    ['empty', Buffer.alloc(0)],
    ['an overlong length', Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x01])],
    ['only a length', Buffer.from([0x05])],
    ['a truncated block', block.subarray(0, block.length - 1)],
    ['a block with trailing bytes', Buffer.concat([block, Buffer.from('x')])],
    ['half a xerial header', Buffer.from(XERIAL_HEADER).subarray(0, 11)],
    ['a frame without its block', xerial(block).subarray(0, XERIAL_HEADER.length + 4)],
    ['half a frame length', xerial(block).subarray(0, XERIAL_HEADER.length + 2)],
    ['a truncated frame', xerial(block, block).subarray(0, -1)],
    ['a frame that claims 4 GiB', Buffer.from([...XERIAL_HEADER, 0xff, 0xff, 0xff, 0xff, 0x00])],
    ['an empty frame', xerial(Buffer.alloc(0))],
    ['a frame within a frame', xerial(xerial(block))],
  ])('that is %s is refused', (_, bytes) => {
    expect(() => decompressSnappy(bytes)).toThrow()
  })

  test.each([
    ['more than the limit', [0x81, 0x80, 0x80, 0x20]],
    ['4 GiB', [0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['more than 32 bits', [0xff, 0xff, 0xff, 0xff, 0x7f]],
  ])('whose block declares %s is refused before anything is allocated', (_, declared) => {
    const bomb = Buffer.from([...declared, 0x00, 0x00])
    expect(() => decompressSnappy(bomb)).toThrow('declares more than 67108864 bytes')
    expect(() => decompressSnappy(xerial(block, bomb))).toThrow('declares more than 67108864 bytes')
  })

  test('made of random bytes is decompressed or rejected with an Error', () => {
    const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array))
    const any = fc.oneof(
      bytes,
      bytes.map((tail) => Buffer.concat([Buffer.from(XERIAL_HEADER), tail])),
    )
    fc.assert(
      fc.property(any, (given) => {
        try {
          expect(Buffer.isBuffer(decompressSnappy(given))).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
      }),
      { numRuns: 100 },
    )
  })
})

test.each([
  ['gzip', Buffer.concat(Array.from({ length: 65 }, () => gzipSync(Buffer.alloc(MIB))))],
  ['zstd', zstdCompressSync(Buffer.alloc(65 * MIB))],
  ['lz4', compressFrameSync(Buffer.alloc(65 * MIB))],
] as const)(
  '%s that decompresses to more than 64 MiB is refused',
  async (name, bomb) => {
    await expect(decompress(name, bomb)).rejects.toThrow()
  },
  60_000,
)
