// Makes records as the platform's normalizer writes them. The same seed, options and clock give the same records, byte
// for byte. A payload of a device yields one to three records with the same event time; a few percent are awkward but
// legal, a few are invalid. Every record describes itself, so that a test can work out what the cache must hold
// afterwards without parsing anything.

import { createDevices, reading, titleCase, type DeviceOutput, type SimulatedDevice } from './devices.ts'
import {
  lastUpdatedText,
  PythonFloat,
  pythonIsoFormat,
  pythonJsonDumps,
  type PythonDict,
  type PythonValue,
} from './python-text.ts'
import { createSeededRandom } from './seeded-random.ts'
import {
  AWKWARD_KINDS,
  INVALID_KINDS,
  type AwkwardKind,
  type AwkwardUpdate,
  type ExpectedUpdate,
  type InvalidKind,
  type RecordAbout,
  type SimulatedRecord,
} from './simulated-record.ts'

export type FleetOptions = {
  readonly seed: number
  readonly devices: number
  /** Share of the payloads that are legal but unusual. Default 3. */
  readonly awkwardPercent?: number
  /** Share of the payloads that can never be applied. Default 1. */
  readonly invalidPercent?: number
  /** Share of the payloads that are tombstones, which the normalizer itself never writes. Default 0. */
  readonly tombstonePercent?: number
}

export type DeviceFleet = {
  /** Ids of the ordinary devices; awkward records add a few ids in other alphabets. */
  readonly deviceIds: readonly string[]
  /** Exactly `count` records, as of `nowMs`; the next call starts with the rest of the last payload. */
  records(count: number, nowMs: number): SimulatedRecord[]
}

const TRANSIT_MICROS = 50_000
const LATE_MICROS = 600_000_000
const UNICODE_OUTPUT: DeviceOutput = {
  datatypes: [{ id: '7', name: 'état de la porte 🚪', unit: 'Ω·m²', low: 0, high: 1 }],
  metadata: { datatype_id: '7', datatype_name: 'état de la porte 🚪', datatype_unit: 'Ω·m²', persist: false },
}

export function createDeviceFleet(options: FleetOptions): DeviceFleet {
  const { seed, awkwardPercent = 3, invalidPercent = 1, tombstonePercent = 0 } = options
  const random = createSeededRandom(seed)
  const devices = createDevices(options.devices, random)
  const metadataTexts = new WeakMap<PythonDict, string>()
  let pending: SimulatedRecord[] = []
  let repeatable: SimulatedRecord | undefined

  function payload(nowMs: number): SimulatedRecord[] {
    const device = random.pick(devices)
    const draw = random.fraction() * 100
    if (draw < invalidPercent) return [invalid(random.pick(INVALID_KINDS), device, nowMs)]
    if (draw < invalidPercent + awkwardPercent) return [awkward(random.pick(AWKWARD_KINDS), device, nowMs)]
    if (draw < invalidPercent + awkwardPercent + tombstonePercent) return [tombstone(device, nowMs)]
    const records = ordinary(device, nowMs)
    repeatable = records.at(-1)
    return records
  }

  function eventMicros(nowMs: number): number {
    return nowMs * 1000 - 1 - random.below(TRANSIT_MICROS)
  }

  function ordinary(device: SimulatedDevice, nowMs: number): SimulatedRecord[] {
    const requestId = random.uuid()
    const micros = eventMicros(nowMs)
    const timestamp = pythonIsoFormat(micros, device.form === 'long' && random.percent(50) ? 0 : null)
    return device.outputs.map((deviceOutput) => {
      const output = outputOf(device, deviceOutput)
      const { metadata: _, ...rest } = validatedOutput(requestId, timestamp, output)
      const text = `${pythonJsonDumps(rest).slice(0, -1)}, "metadata": ${metadataText(output.metadata)}}`
      return record(output, text, nowMs, { kind: 'valid', what: 'reading', ...expected(output, micros) })
    })
  }

  function metadataText(metadata: PythonDict): string {
    let text = metadataTexts.get(metadata)
    if (text === undefined) metadataTexts.set(metadata, (text = pythonJsonDumps(metadata)))
    return text
  }

  function outputOf(device: SimulatedDevice, { datatypes, metadata }: DeviceOutput): Output {
    return {
      deviceId: device.id,
      values: datatypes.map((datatype) => reading(datatype, random)),
      labels: datatypes.map((datatype) => datatype.name),
      index: device.index,
      metadata,
    }
  }

  function awkward(kind: AwkwardKind, device: SimulatedDevice, nowMs: number): SimulatedRecord {
    if (kind === 'duplicate' && repeatable !== undefined && repeatable.about.outcome === 'update') {
      return { ...repeatable, about: { ...repeatable.about, kind: 'awkward', what: 'duplicate' } }
    }
    const requestId = random.uuid()
    const output = outputOf(device, random.pick(device.outputs))
    const micros = eventMicros(nowMs)
    const write = (what: AwkwardUpdate, changed: Output, at: number, offsetMinutes: number | null = null) =>
      record(
        changed,
        pythonJsonDumps(validatedOutput(requestId, pythonIsoFormat(at, offsetMinutes), changed)),
        nowMs,
        { kind: 'awkward', what, ...expected(changed, at) },
      )
    switch (kind) {
      case 'nan_value': {
        const odd = random.pick([NaN, Infinity, -Infinity])
        return write(kind, { ...output, values: [new PythonFloat(odd)] }, micros)
      }
      case 'unicode': {
        const unicodeDevice = { ...device, id: `sonde-été-${random.below(10)}` }
        return write(kind, outputOf(unicodeDevice, UNICODE_OUTPUT), micros)
      }
      case 'offset_timestamp':
        return write(kind, output, micros, random.pick([120, 330, -210]))
      case 'whole_second':
        return write(kind, output, micros - (micros % 1_000_000))
      case 'null_fields': {
        const metadata = { ...output.metadata, datatype_id: null, datatype_name: null, datatype_unit: null }
        return write(kind, { ...output, metadata }, micros)
      }
      case 'number_as_id':
        return write(
          kind,
          { ...output, metadata: { ...output.metadata, datatype_id: random.below(1000) } },
          micros,
        )
      case 'no_persist': {
        const { persist: _, ...metadata } = output.metadata
        return write(kind, { ...output, metadata }, micros)
      }
      case 'late':
      case 'duplicate':
        return write('late', output, micros - 1_000_000 - random.below(LATE_MICROS))
      case 'null_metadata':
        return record(
          output,
          pythonJsonDumps({ ...validatedOutput(requestId, pythonIsoFormat(micros), output), metadata: null }),
          nowMs,
          { kind: 'awkward', what: kind, outcome: 'skipped', deviceId: output.deviceId },
        )
    }
  }

  function invalid(kind: InvalidKind, device: SimulatedDevice, nowMs: number): SimulatedRecord {
    const output = outputOf(device, random.pick(device.outputs))
    const good = validatedOutput(random.uuid(), pythonIsoFormat(eventMicros(nowMs)), output)
    const { device_id: _, ...anonymous } = good
    const values: Record<InvalidKind, () => string | Buffer> = {
      not_json: () => pythonJsonDumps(good).slice(0, 40 + random.below(80)),
      not_utf8: () => Buffer.from(pythonJsonDumps(good).replace('"index"', '"ind\xe9x"'), 'latin1'),
      empty_value: () => '',
      missing_device_id: () => pythonJsonDumps(anonymous),
      bad_timestamp: () =>
        pythonJsonDumps({ ...good, timestamp: random.pick(['yesterday', '2025-13-08T18:27:17']) }),
      bad_metadata: () =>
        pythonJsonDumps({ ...good, metadata: random.pick<PythonValue>(['temperature', [1], 3]) }),
    }
    return record(output, values[kind](), nowMs, {
      kind: 'invalid',
      what: kind,
      outcome: 'rejected',
      deviceId: output.deviceId,
    })
  }

  return {
    deviceIds: devices.map((device) => device.id),
    records(count, nowMs) {
      while (pending.length < count) for (const one of payload(nowMs)) pending.push(one)
      const records = pending.slice(0, count)
      pending = pending.slice(count)
      return records
    },
  }
}

/** The output of the normalizer's decoder for the device, before it is wrapped in a ValidatedOutput. */
type Output = {
  readonly deviceId: string
  readonly values: readonly PythonValue[]
  readonly labels: readonly string[]
  readonly index: string
  readonly metadata: PythonDict
}

function validatedOutput(requestId: string, timestamp: string, output: Output): PythonDict {
  return {
    request_id: requestId,
    timestamp,
    device_id: output.deviceId,
    values: output.values,
    labels: output.labels,
    display_names: output.labels.map(titleCase),
    index: output.index,
    metadata: output.metadata,
  }
}

function expected(output: Output, micros: number): ExpectedUpdate {
  return {
    outcome: 'update',
    deviceId: output.deviceId,
    lastUpdated: lastUpdatedText(micros),
    metadata: output.metadata,
  }
}

function record(
  output: Output,
  value: string | Buffer,
  timestampMs: number,
  about: RecordAbout,
): SimulatedRecord {
  return { key: output.deviceId, value: Buffer.from(value), timestampMs, about }
}

function tombstone(device: SimulatedDevice, timestampMs: number): SimulatedRecord {
  const about = { kind: 'valid', what: 'tombstone', outcome: 'tombstone', deviceId: device.id } as const
  return { key: device.id, value: null, timestampMs, about }
}
