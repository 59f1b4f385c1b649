import type { SourceRecord } from './source-record.ts'

export type ChunkLimits = { readonly maxRecords: number; readonly maxBytes: number }

/**
 * Cuts what was fetched of one partition into chunks: runs of consecutive records, each at least one record
 * long, else within the limits.
 */
export function* splitIntoChunks(
  records: readonly SourceRecord[],
  limits: ChunkLimits,
): Generator<readonly SourceRecord[]> {
  let start = 0
  let bytes = 0
  for (const [i, { value }] of records.entries()) {
    const size = value?.length ?? 0
    if (i > start && (i - start >= limits.maxRecords || bytes + size > limits.maxBytes)) {
      yield records.slice(start, i)
      start = i
      bytes = 0
    }
    bytes += size
  }
  if (start < records.length) yield records.slice(start)
}
