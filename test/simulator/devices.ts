import { PythonFloat, type PythonDict } from './python-text.ts'
import type { SeededRandom } from './seeded-random.ts'

/** One kind of reading that a device sends. */
export type Datatype = {
  readonly id: string
  readonly name: string
  readonly unit: string
  readonly low: number
  readonly high: number
}

/** The content of one record of a payload. */
export type DeviceOutput = {
  readonly datatypes: readonly Datatype[]
  /** The same object every time, so that its JSON text can be cached. */
  readonly metadata: PythonDict
}

/** `short`: a record per datatype, with four metadata fields. `long`: one record for all of them, with many fields. */
export type SimulatedDevice = {
  readonly id: string
  readonly form: 'short' | 'long'
  readonly index: string
  readonly outputs: readonly DeviceOutput[]
}

const DATATYPES: readonly Omit<Datatype, 'id'>[] = [
  { name: 'temperature', unit: '°C', low: -40, high: 45 },
  { name: 'humidity', unit: '%', low: 0, high: 100 },
  { name: 'pressure', unit: 'hPa', low: 300, high: 1100 },
  { name: 'battery', unit: 'V', low: 0, high: 4 },
  { name: 'door', unit: '', low: 0, high: 1 },
  { name: 'soil moisture', unit: '%', low: 0, high: 100 },
]
const LONG_FORM_INDEXES = ['', '0', '1', 'P_ARRAY']

/** Devices of each family of the platform in turn; the same random numbers give the same devices. */
export function createDevices(count: number, random: SeededRandom): SimulatedDevice[] {
  return Array.from({ length: count }, (_, number) => createDevice(number, random))
}

function createDevice(number: number, random: SeededRandom): SimulatedDevice {
  const long = number % 4 === 3
  const first = random.below(DATATYPES.length)
  const datatypes = Array.from({ length: 1 + random.below(3) }, (_, step) => {
    const template = DATATYPES[(first + step) % DATATYPES.length]
    if (template === undefined) throw new RangeError('no such datatype')
    return { id: random.uuid(), ...template }
  })
  return {
    id: deviceId(number),
    form: long ? 'long' : 'short',
    index: long ? random.pick(LONG_FORM_INDEXES) : '',
    outputs: long ? [longOutput(datatypes, random)] : shortOutputs(datatypes, random.percent(85)),
  }
}

function shortOutputs(datatypes: readonly Datatype[], persist: boolean): DeviceOutput[] {
  return datatypes.map((datatype) => ({
    datatypes: [datatype],
    metadata: {
      datatype_id: datatype.id,
      datatype_name: datatype.name,
      datatype_unit: datatype.unit === '' ? null : datatype.unit,
      persist,
    },
  }))
}

function longOutput(datatypes: readonly Datatype[], random: SeededRandom): DeviceOutput {
  const only = datatypes.length === 1 ? datatypes[0] : undefined
  const metadata = {
    datatype_id: only?.id ?? random.uuid(),
    datatype_name: only?.name ?? 'environment',
    datatype_unit: datatypes.map((datatype) => datatype.unit),
    datatype_type: datatypes.map(() => 'number'),
    datatype_category: 'environment',
    datatype_possible_values: [],
    datatype_whitelist_values: [],
    datatype_read_only: datatypes.map(() => true),
    datatype_description: datatypes.map(() => ''),
    datatype_min: datatypes.map((datatype) => datatype.low),
    datatype_max: datatypes.map((datatype) => (datatype.unit === '%' ? 100 : null)),
    persist: datatypes.map(() => true),
    battery_ok: random.percent(95),
    channel_number: 1 + random.below(6),
    source_sn_hex: 'KCwCQk7t',
    config_hash: random.below(0x1_0000_0000),
    hash_timestamp: 1750801053,
    is_config_parameter: random.percent(50),
    parameter_names: ['rules', 'dns_server_ip'],
    nested: { a: [1, { b: null }] },
  }
  return { datatypes, metadata }
}

function deviceId(number: number): string {
  const member = Math.floor(number / 4)
  switch (number % 4) {
    case 0:
      return `efento-${String(member).padStart(4, '0')}`
    case 1:
      return `a4c138${scattered(member)}`
    case 2:
      return `gw${1 + Math.floor(member / 10)}:node:${member % 10}`
    default:
      return `282c02${scattered(member)}`
  }
}

/** Six hex digits that look random but never repeat: an odd factor permutes the 24-bit numbers. */
function scattered(member: number): string {
  return ((Math.imul(member + 1, 0x9e3779) >>> 0) & 0xff_ffff).toString(16).padStart(6, '0')
}

export function titleCase(name: string): string {
  return name.replace(/(^| )(.)/g, (_, space: string, initial: string) => space + initial.toUpperCase())
}

export function reading(datatype: Datatype, random: SeededRandom): PythonFloat {
  const value = datatype.low + random.fraction() * (datatype.high - datatype.low)
  return new PythonFloat(Math.round(value * 100) / 100)
}
