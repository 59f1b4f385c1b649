import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import kafkajs from 'kafkajs'
import { compressSync } from 'snappy'
import { afterEach, describe, expect, test } from 'vitest'
import { createDeviceFleet, type FleetOptions } from '../../simulator/device-fleet.ts'
import { installRawSnappyProducerCodec, librdkafkaPartition } from '../../simulator/librdkafka.ts'
import { normalizerHelp, parseNormalizerOptions } from '../../simulator/normalizer-options.ts'
import {
  lastUpdatedText,
  PythonFloat,
  pythonIsoFormat,
  pythonJsonDumps,
} from '../../simulator/python-text.ts'
import { createSeededRandom } from '../../simulator/seeded-random.ts'
import { AWKWARD_KINDS, INVALID_KINDS, type InvalidKind } from '../../simulator/simulated-record.ts'
import { repository } from '../../support/repository.ts'

const NOW_MS = 1749407237476

function records(options: Partial<FleetOptions> = {}, count = 2000) {
  return createDeviceFleet({ seed: 1, devices: 40, ...options }).records(count, NOW_MS)
}

// CPython 3's json.dumps and datetime.isoformat printed every expected text here.
describe('text in the format of Python', () => {
  test('writes floats with the shortest digits, .0 when whole, and an exponent below 1e-4 and from 1e16', () => {
    const floats = [2, -0, 0.1, 1e-4, 1e-5, 1.5e-7, 1e15, 1e16, 1.5e16, 1e22, 123456789.125]
    expect(pythonJsonDumps(floats.map((float) => new PythonFloat(float)))).toBe(
      '[2.0, -0.0, 0.1, 0.0001, 1e-05, 1.5e-07, 1000000000000000.0, 1e+16, 1.5e+16, 1e+22, 123456789.125]',
    )
  })

  test('writes NaN and infinities without quotes', () => {
    const floats = [NaN, Infinity, -Infinity].map((float) => new PythonFloat(float))
    expect(pythonJsonDumps(floats)).toBe('[NaN, Infinity, -Infinity]')
  })

  test('writes strings in ASCII and escapes everything else as lower-case UTF-16', () => {
    expect(pythonJsonDumps('°C "x\\y/\n\t\b\f\r\x01\x7f🚪é')).toBe(
      '"\\u00b0C \\"x\\\\y/\\n\\t\\b\\f\\r\\u0001\\u007f\\ud83d\\udeaa\\u00e9"',
    )
  })

  test('writes a space after separators and none inside brackets', () => {
    expect(pythonJsonDumps({ a: [1, -40], b: true, c: null, d: {}, e: [] })).toBe(
      '{"a": [1, -40], "b": true, "c": null, "d": {}, "e": []}',
    )
  })

  test.each([
    [1749407237476623, null, '2025-06-08T18:27:17.476623'],
    [1749407237476623, 0, '2025-06-08T18:27:17.476623+00:00'],
    [1749407237476623, 120, '2025-06-08T20:27:17.476623+02:00'],
    [1749407237476623, 330, '2025-06-08T23:57:17.476623+05:30'],
    [1749407237476623, -210, '2025-06-08T14:57:17.476623-03:30'],
    [1749407237000000, null, '2025-06-08T18:27:17'],
    [1749407237000042, null, '2025-06-08T18:27:17.000042'],
  ])('writes the moment %d with the offset %s as %s', (micros, offsetMinutes, text) => {
    expect(pythonIsoFormat(micros, offsetMinutes)).toBe(text)
  })

  test('writes last_updated in UTC with six digits, always', () => {
    expect(lastUpdatedText(1749407237000000)).toBe('2025-06-08T18:27:17.000000+00:00')
  })
})

describe('the simulated fleet', () => {
  test('writes a ValidatedOutput as json.dumps does', () => {
    const [first, second] = records({ devices: 8, awkwardPercent: 0, invalidPercent: 0 }, 2)
    expect(first?.value?.toString()).toBe(
      '{"request_id": "40997651-fddd-46e4-b439-e345deb8f829", "timestamp": "2025-06-08T18:27:17.475814", ' +
        '"device_id": "a4c1389e3779", "values": [0.18], "labels": ["door"], "display_names": ["Door"], ' +
        '"index": "", "metadata": {"datatype_id": "feacb771-748c-460a-bd21-3b2e239126bd", ' +
        '"datatype_name": "door", "datatype_unit": null, "persist": true}}',
    )
    expect(second?.value?.toString()).toBe(
      '{"request_id": "40997651-fddd-46e4-b439-e345deb8f829", "timestamp": "2025-06-08T18:27:17.475814", ' +
        '"device_id": "a4c1389e3779", "values": [2.84], "labels": ["soil moisture"], ' +
        '"display_names": ["Soil Moisture"], "index": "", ' +
        '"metadata": {"datatype_id": "675bd122-3f5d-49e0-a78c-dcb27d3888ca", ' +
        '"datatype_name": "soil moisture", "datatype_unit": "%", "persist": true}}',
    )
  })

  test('gives the same records for the same seed, in portions of any size', () => {
    const fleet = createDeviceFleet({ seed: 1, devices: 40 })
    const inPortions = [1, 7, 92, 400].flatMap((count) => fleet.records(count, NOW_MS))
    expect(inPortions).toEqual(records({}, 500))
  })

  test('gives different records for a different seed', () => {
    expect(records({ seed: 2 }, 50)).not.toEqual(records({ seed: 1 }, 50))
  })

  test('has the requested number of devices, each with a unique id', () => {
    const { deviceIds } = createDeviceFleet({ seed: 1, devices: 20_000 })
    expect(new Set(deviceIds).size).toBe(20_000)
  })

  test('has both forms of metadata, several records with one event time, and every awkward and invalid kind', () => {
    const many = records({ awkwardPercent: 30, invalidPercent: 20, tombstonePercent: 5 })
    const kinds = new Set(many.map(({ about }) => about.what))
    expect([...kinds].toSorted()).toEqual(
      ['reading', 'tombstone', ...AWKWARD_KINDS, ...INVALID_KINDS].toSorted(),
    )
    const readings = many.flatMap(({ about }) => (about.what === 'reading' ? [about] : []))
    const sizes = new Set(readings.map(({ metadata }) => Object.keys(metadata).length))
    expect(sizes).toEqual(new Set([4, 20]))
    const moments = Map.groupBy(readings, (one) => `${one.deviceId} ${one.lastUpdated}`)
    expect(Math.max(...[...moments.values()].map((group) => group.length))).toBe(3)
  })

  test('uses the device id as the key', () => {
    for (const { key, about } of records({ awkwardPercent: 30 })) expect(key).toBe(about.deviceId)
  })

  test('describes every update as its record does', () => {
    const updates = records({ awkwardPercent: 30 }).filter(({ about }) => about.outcome === 'update')
    for (const { value, about } of updates) {
      if (about.outcome !== 'update') continue
      const text = String(value).replaceAll(/-?\b(NaN|Infinity)\b/g, 'null')
      const { device_id, timestamp, metadata } = JSON.parse(text)
      expect(device_id).toBe(about.deviceId)
      expect(metadata).toEqual(about.metadata)
      const utc = /[+-]\d\d:\d\d$/.test(timestamp) ? timestamp : `${timestamp}Z`
      expect(Date.parse(utc)).toBe(Date.parse(about.lastUpdated))
    }
  })

  test('never dates an event after its Kafka timestamp', () => {
    const updates = records({ awkwardPercent: 50 }).flatMap(({ about }) =>
      about.outcome === 'update' ? [Date.parse(about.lastUpdated)] : [],
    )
    expect(Math.max(...updates)).toBeLessThanOrEqual(NOW_MS)
  })

  test('repeats a duplicate byte for byte', () => {
    const many = records({ awkwardPercent: 50 })
    const duplicates = many.filter(({ about }) => about.what === 'duplicate')
    expect(duplicates.length).toBeGreaterThan(0)
    for (const duplicate of duplicates) {
      expect(
        many.filter(({ value }) => value?.equals(duplicate.value ?? Buffer.of())).length,
      ).toBeGreaterThan(1)
    }
  })

  test.each(INVALID_KINDS)('makes invalid records of the kind %s', (kind) => {
    const values = records({ invalidPercent: 100 }, 300).flatMap(({ value, about }) =>
      about.what === kind && value !== null ? [value] : [],
    )
    expect(values.length).toBeGreaterThan(10)
    expect(values.filter((value) => !isWhatItsKindSays[kind](value))).toEqual([])
  })

  test('has the fields of real records, in the same order', () => {
    const fixture = readFileSync(join(repository, 'test/fixtures/validated-output.jsonl'), 'utf8')
    const real = shapes(fixture.trim().split('\n'))
    const simulated = shapes(
      records({ awkwardPercent: 0, invalidPercent: 0 }).map(({ value }) => String(value)),
    )
    for (const shape of simulated) expect(real).toContain(shape)
  })
})

const isWhatItsKindSays: Readonly<Record<InvalidKind, (value: Buffer) => boolean>> = {
  empty_value: (value) => value.length === 0,
  not_utf8: (value) => !isUtf8(value),
  not_json: (value) => isUtf8(value) && parsed(value) === undefined,
  missing_device_id: (value) => !Object.hasOwn(parsed(value) ?? { device_id: '' }, 'device_id'),
  bad_timestamp: (value) => Number.isNaN(Date.parse(String(parsed(value)?.['timestamp']))),
  bad_metadata: (value) => {
    const metadata = parsed(value)?.['metadata']
    return Array.isArray(metadata) || typeof metadata !== 'object'
  },
}

function parsed(value: Buffer): Record<string, unknown> | undefined {
  try {
    return JSON.parse(String(value))
  } catch {
    return undefined
  }
}

/** Per record: the names of its fields and of its metadata's fields, in order, and the type of each. */
function shapes(lines: readonly string[]): Set<string> {
  return new Set(
    lines.map((line) => {
      const output: { metadata: object | null } = JSON.parse(line.replaceAll('NaN', 'null'))
      return [...fieldTypes(output), '|', ...fieldTypes(output.metadata ?? {})].join(' ')
    }),
  )
}

/** Null counts as a string: where it occurs, a string is possible. */
function fieldTypes(object: object): string[] {
  return Object.entries(object).map(([name, value]) => {
    if (Array.isArray(value)) return `${name}:list`
    return `${name}:${value === null ? 'string' : typeof value}`
  })
}

describe('the partitioner of librdkafka', () => {
  // Vectors from librdkafka's own test of its `consistent` partitioner, which has 17 partitions.
  test.each([
    ['', 0x0],
    ['23456', 0xb1b451d7],
    ['this is another string with more length to it perhaps', 0xb0150df7],
    ['hejsan', 0xd077037e],
    ['123456789', 0xcbf43926],
  ])('hashes %j to its CRC-32', (key, hash) => {
    expect(librdkafkaPartition(key, 17)).toBe(hash % 17)
    expect(librdkafkaPartition(key, 2 ** 32)).toBe(hash)
  })

  test('hashes the UTF-8 bytes of a key', () => {
    expect(librdkafkaPartition('sonde-été-2', 2 ** 32)).toBe(
      librdkafkaPartition(Buffer.from('sonde-été-2'), 2 ** 32),
    )
  })
})

describe('the raw snappy codec', () => {
  const { CompressionCodecs, CompressionTypes } = kafkajs
  const original = CompressionCodecs[CompressionTypes.Snappy]
  const plain = Buffer.from('a block of snappy, a block of snappy, a block of snappy')

  afterEach(() => {
    CompressionCodecs[CompressionTypes.Snappy] = original
  })

  test('writes one raw block and reads it', async () => {
    installRawSnappyProducerCodec()
    const codec = CompressionCodecs[CompressionTypes.Snappy]()
    const block = await codec.compress({ buffer: plain })
    expect(block).toEqual(compressSync(plain))
    expect(await codec.decompress(block)).toEqual(plain)
  })

  test('leaves reading to a codec that was installed before, or between two installations', async () => {
    installRawSnappyProducerCodec()
    CompressionCodecs[CompressionTypes.Snappy] = () => ({
      compress: () => expect.unreachable('ours compresses'),
      decompress: async () => Buffer.from('read by the other codec'),
    })
    installRawSnappyProducerCodec()
    installRawSnappyProducerCodec()
    const codec = CompressionCodecs[CompressionTypes.Snappy]()
    expect(await codec.compress({ buffer: plain })).toEqual(compressSync(plain))
    expect(String(await codec.decompress(Buffer.of()))).toBe('read by the other codec')
  })
})

describe('the seeded random numbers', () => {
  test('are the sequence of mulberry32', () => {
    const random = createSeededRandom(1)
    expect([random.fraction(), random.fraction(), random.fraction()]).toEqual([
      0.6270739405881613, 0.002735721180215478, 0.5274470399599522,
    ])
  })

  test('form version 4 UUIDs', () => {
    const random = createSeededRandom(7)
    for (let made = 0; made < 100; made++) {
      expect(random.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    }
  })
})

describe('the options of the simulated normalizer', () => {
  test('have defaults, also for empty variables', () => {
    expect(parseNormalizerOptions({ NORMALIZER_RATE: '' }, 42)).toEqual({
      options: {
        brokers: ['kafka:9092'],
        topic: 'iot_validated_data',
        rate: 500,
        devices: 500,
        seed: 42,
        invalidPercent: 1,
        seconds: 0,
      },
    })
  })

  test('are all checked before the first problem is reported', () => {
    const outcome = parseNormalizerOptions({ NORMALIZER_RATE: 'fast', NORMALIZER_DEVICES: '0.5' }, 42)
    expect(outcome).toEqual({
      problems: [
        expect.stringContaining('NORMALIZER_RATE=fast'),
        expect.stringContaining('NORMALIZER_DEVICES=0.5'),
      ],
    })
  })

  test('are listed in the help', () => {
    expect(normalizerHelp()).toContain('NORMALIZER_SEED')
  })
})
