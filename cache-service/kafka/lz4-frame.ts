/**
 * The maximum decompressed size of an LZ4 frame, calculated only from the sizes of its blocks. The library
 * decompresses without a limit, and the content size that a frame declares may be false.
 *
 * @throws Error if the buffer is not an LZ4 frame, or truncated.
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
export function lz4FrameBound(frame: Buffer): number {
  if (frame.length < 7 || frame.readUInt32LE(0) !== MAGIC) throw new Error('lz4: not a frame')
  const flags = frame.readUInt8(4)
  const blockBytes = BLOCK_BYTES[(frame.readUInt8(5) >> 4) & 7]
  if (blockBytes === undefined) throw new Error('lz4: a frame declares an unknown block size')
  const hasContentSize = (flags & 0x08) !== 0
  const hasDictionary = (flags & 0x01) !== 0
  const checksumBytes = (flags & 0x10) !== 0 ? 4 : 0
  let at = 7 + (hasContentSize ? 8 : 0) + (hasDictionary ? 4 : 0)
  let bound = 0
  while (at + 4 <= frame.length) {
    const size = frame.readUInt32LE(at)
    if (size === 0) return bound
    const stored = size & 0x7fff_ffff
    bound += size > 0x7fff_ffff ? stored : Math.min(blockBytes, stored * LARGEST_RATIO)
    at += 4 + stored + checksumBytes
  }
  throw new Error('lz4: truncated frame')
}

const MAGIC = 0x184d2204
/** Keyed by the code in the frame header. */
const BLOCK_BYTES: Readonly<Record<number, number>> = { 4: 65_536, 5: 262_144, 6: 1_048_576, 7: 4_194_304 }
const LARGEST_RATIO = 255
