import type { ProducedRecord } from '../../simulator/produce.ts'

/** What a backlog consists of. Each stresses something else. */
export type Workload = {
  readonly name: string
  readonly what: string
  readonly partitions: number
  /** Relative to `--records`. */
  readonly share: number
  readonly env?: Readonly<Record<string, string>>
  record(n: number): ProducedRecord
}

const RECORD_BYTES = 380
const FAT_RECORD_BYTES = 4_000

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'wide',
    what: '100,000 devices: hardly any record of a chunk supersedes another',
    partitions: 3,
    share: 1,
    record: (n) => record(n, `efento-${n % 100_000}`),
  },
  {
    name: 'hot',
    what: '1,000 devices: most records of a chunk are superseded',
    partitions: 3,
    share: 1,
    record: (n) => record(n, `efento-${n % 1_000}`),
  },
  {
    name: 'distinct',
    what: 'every record is the first of its device',
    partitions: 3,
    share: 1,
    record: (n) => record(n, `efento-${n}`),
  },
  {
    name: 'fat',
    what: '4 kB a record, 20 extra fields, METADATA_EXTRA_FIELDS=*; 100,000 devices',
    partitions: 3,
    share: 0.25,
    env: { METADATA_EXTRA_FIELDS: '*' },
    record: (n) => record(n, `efento-${n % 100_000}`, FAT_RECORD_BYTES, EXTRA_FIELDS),
  },
  {
    name: 'partitions',
    what: '300 partitions; 100,000 devices',
    partitions: 300,
    share: 1,
    record: (n) => record(n, `efento-${n % 100_000}`),
  },
]

/** A backlog in which `devices` report in turns. */
export function workloadOf(devices: number): Workload {
  return {
    name: `${devices} devices`,
    what: `${devices} devices`,
    partitions: 3,
    share: 1,
    record: (n) => record(n, `efento-${n % devices}`),
  }
}

const EXTRA_FIELDS = Array.from(
  { length: 20 },
  (_, i) => `, "extra_field_${i}": ${i % 2 === 0 ? `"value ${i} of a longer text"` : i * 1_000_003}`,
).join('')

/** The short form of the platform's records, padded to the size of an average one. */
export function record(n: number, deviceId: string, bytes = RECORD_BYTES, extraFields = ''): ProducedRecord {
  const now = Date.now()
  const micros = String(n % 1000).padStart(3, '0')
  const text =
    `{"request_id": "a6a3a450-6513-470e-a69e-${String(n).padStart(12, '0')}", ` +
    `"timestamp": "${new Date(now).toISOString().slice(0, 23)}${micros}", "device_id": "${deviceId}", ` +
    `"values": [${(n % 1000) / 10}], "labels": ["temperature"], "display_names": ["Temperature"], "index": "", ` +
    `"metadata": {"datatype_id": "099950d8-36f6-45cc-81e7-4ef5e8e25d94", "datatype_name": "temperature", ` +
    `"datatype_unit": "\\u00b0C", "persist": true${extraFields}}`
  const value = Buffer.from(`${text.padEnd(bytes - 1)}}`)
  return { key: deviceId, value, timestampMs: now }
}
