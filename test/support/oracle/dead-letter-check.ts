import { isDeepStrictEqual } from 'node:util'
import type { ProducedRecord } from './device-model.ts'
import type { TopicMessage } from '../records/read-topic.ts'

export type DeadLetterFacts = { readonly topic: string; readonly serviceVersion: string }

const MAX_ORIGINAL_VALUE_BYTES = 256 * 1024
const MAX_NESTING = 64
const UUID_V5 = /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const ISO_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/
const BODY_FIELDS = ['error', 'original_message', 'request_id', 'service', 'timestamp']

/** Checks that each rejected record has one or more correct dead letters, and that no other record has any. */
export function deadLetterDifferences(
  records: readonly ProducedRecord[],
  deadLetters: readonly TopicMessage[],
  facts: DeadLetterFacts,
): string[] {
  const differences: string[] = []
  const byCoordinates = new Map<string, TopicMessage[]>()
  for (const deadLetter of deadLetters) {
    const coordinates = `${deadLetter.headers['source_partition']}:${deadLetter.headers['source_offset']}`
    byCoordinates.set(coordinates, [...(byCoordinates.get(coordinates) ?? []), deadLetter])
  }
  const generatedKeys = new Map<string, string>()
  for (const record of records) {
    if (record.expectation.outcome !== 'rejected') continue
    const coordinates = `${record.partition}:${record.offset}`
    const what = `the ${record.expectation.reason} record at ${coordinates}`
    const found = byCoordinates.get(coordinates) ?? []
    byCoordinates.delete(coordinates)
    if (found.length === 0) differences.push(`${what} has no dead letter`)
    for (const deadLetter of found) {
      for (const problem of deadLetterProblems(deadLetter, record, facts)) {
        differences.push(`the dead letter of ${what}: ${problem}`)
      }
    }
    const keys = new Set(found.map(({ key }) => key?.toString()))
    if (keys.size > 1)
      differences.push(`${what} has dead letters with different keys: ${[...keys].join(', ')}`)
    const [key = ''] = keys
    if (!UUID_V5.test(key)) continue
    const twin = generatedKeys.get(key)
    if (twin !== undefined) differences.push(`${what} and the one at ${twin} share the key ${key}`)
    generatedKeys.set(key, coordinates)
  }
  for (const [coordinates, [deadLetter]] of byCoordinates) {
    differences.push(
      `a dead letter (${deadLetter?.headers['reason']}) for ${coordinates}, which is not an invalid record`,
    )
  }
  return differences
}

function deadLetterProblems(
  deadLetter: TopicMessage,
  record: ProducedRecord,
  facts: DeadLetterFacts,
): string[] {
  if (record.expectation.outcome !== 'rejected') return []
  const { reason, isShortened = false } = record.expectation
  const problems: string[] = []
  const expectEqual = (name: string, found: unknown, expected: unknown) => {
    if (!isDeepStrictEqual(found, expected)) problems.push(`${name} is ${show(found)}, not ${show(expected)}`)
  }
  const isTruncated = isShortened || (record.value?.length ?? 0) > MAX_ORIGINAL_VALUE_BYTES
  const original = isShortened ? undefined : record.value?.subarray(0, MAX_ORIGINAL_VALUE_BYTES)
  const { headers } = deadLetter
  expectEqual('source_topic', text(headers['source_topic']), facts.topic)
  expectEqual('source_timestamp', text(headers['source_timestamp']), String(record.timestampMs))
  expectEqual('source_key', headers['source_key'], record.key ?? undefined)
  expectEqual('reason', text(headers['reason']), reason)
  expectEqual('service_version', text(headers['service_version']), facts.serviceVersion)
  expectEqual('original_value', headers['original_value'], original)
  expectEqual(
    'original_value_truncated',
    text(headers['original_value_truncated']),
    isTruncated ? 'true' : undefined,
  )

  const body = parseObject(deadLetter.value)
  if (body === undefined) return [...problems, 'its value is not a JSON object']
  // A record that is too large to be parsed is not parsed for its dead letter either.
  const message = reason === 'value_too_large' ? undefined : parseObject(record.value)
  const requestId = message?.['request_id']
  expectEqual('the fields', Object.keys(body).toSorted(), BODY_FIELDS)
  expectEqual('service', body['service'], 'cache_service')
  expectEqual('request_id', body['request_id'], text(deadLetter.key))
  const carried = message !== undefined && !isShortened && nesting(message) <= MAX_NESTING ? message : null
  expectEqual('original_message', body['original_message'], carried)
  if (typeof requestId === 'string' && requestId !== '')
    expectEqual('the key', text(deadLetter.key), requestId)
  else if (!UUID_V5.test(text(deadLetter.key) ?? ''))
    problems.push(`the key ${text(deadLetter.key)} is not a UUIDv5`)
  if (!ISO_UTC.test(String(body['timestamp']))) problems.push(`timestamp is ${show(body['timestamp'])}`)
  if (typeof body['error'] !== 'string' || body['error'] === '') {
    problems.push(`error is ${show(body['error'])}`)
  }
  return problems
}

function parseObject(bytes: Buffer | null): Record<string, unknown> | undefined {
  if (bytes === null) return undefined
  try {
    const parsed: unknown = JSON.parse(
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes),
    )
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : undefined
  } catch {
    return undefined
  }
}

function nesting(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(nesting))
}

function text(bytes: Buffer | null | undefined): string | undefined {
  return bytes?.toString()
}

function show(value: unknown): string {
  const shown = Buffer.isBuffer(value)
    ? `${value.length} bytes ${value.subarray(0, 40).toString('latin1')}`
    : (JSON.stringify(value) ?? 'absent')
  return shown.length > 160 ? `${shown.slice(0, 160)}…` : shown
}
