import { DEVICE_ID_MAX_BYTES } from '../../../shared/contract/device-id.ts'

/** What a device measures. An absent field is null. */
export type DeviceType = {
  readonly id: string | null
  readonly name: string | null
  readonly unit: string | null
}

export type TableLimits = {
  readonly maxDevices: number
  /** Of all ids together, in UTF-8. */
  readonly maxIdBytes: number
  /** Of all distinct types together. They are kept as strings, on the heap. */
  readonly maxTypeCharacters: number
}

/** The event time of a device without one, or with one of a shape that no worker writes: before all others. */
export const NO_EVENT_TIME = -1

const FIRST_ROWS = 1024
const ID_BYTES_PER_ROW = 24

/**
 * All devices, with the few facts that searches compare. A million objects would fill the heap and block the process
 * whenever it is collected; here a row takes 20 bytes and its id, outside the heap. Types are numbered, because devices
 * share them.
 */
export class DeviceTable {
  readonly #limits: TableLimits
  readonly #typeNumbers = new Map<string, number>()
  readonly #types: DeviceType[] = []
  #typeCharacters = 0
  #length = 0
  #ids = Buffer.allocUnsafe(FIRST_ROWS * ID_BYTES_PER_ROW)
  /** Where the id of each row begins, and the one after it. */
  #starts = new Uint32Array(FIRST_ROWS + 1)
  #rowTypes = new Uint32Array(FIRST_ROWS)
  #updated = new Float64Array(FIRST_ROWS)

  constructor(limits: TableLimits) {
    this.#limits = limits
  }

  get length(): number {
    return this.#length
  }

  get types(): readonly DeviceType[] {
    return this.#types
  }

  /** The index of a type in `types`, to which it is added if it is new; undefined: there are too many types. */
  numberOf({ id, name, unit }: DeviceType): number | undefined {
    const key = JSON.stringify([id, name, unit])
    const known = this.#typeNumbers.get(key)
    if (known !== undefined) return known
    this.#typeCharacters += key.length
    if (this.#typeCharacters > this.#limits.maxTypeCharacters) return undefined
    this.#typeNumbers.set(key, this.#types.length)
    return this.#types.push({ id, name, unit }) - 1
  }

  /**
   * @param type the index of its type.
   * @param updatedUs the event time in microseconds since 1970, or NO_EVENT_TIME.
   * @returns false if the table is full.
   */
  add(id: string, type: number, updatedUs: number): boolean {
    const { maxDevices, maxIdBytes } = this.#limits
    const start = this.#starts[this.#length] ?? 0
    if (this.#length >= maxDevices || start + DEVICE_ID_MAX_BYTES > maxIdBytes) return false
    this.#makeRoom(start)
    this.#starts[this.#length + 1] = start + this.#ids.write(id, start)
    this.#rowTypes[this.#length] = type
    this.#updated[this.#length] = updatedUs
    this.#length++
    return true
  }

  idOf(row: number): string {
    return this.#ids.toString('utf8', this.#starts[row], this.#starts[row + 1])
  }

  /** The index of its type in `types`. */
  typeOf(row: number): number {
    return this.#rowTypes[row] ?? 0
  }

  updatedOf(row: number): number {
    return this.#updated[row] ?? NO_EVENT_TIME
  }

  /** Compares the ids of two rows, byte by byte. */
  compareIds(a: number, b: number): number {
    const ids = this.#ids
    let i = this.#starts[a] ?? 0
    let j = this.#starts[b] ?? 0
    const [endA, endB] = [this.#starts[a + 1] ?? 0, this.#starts[b + 1] ?? 0]
    for (; i < endA && j < endB; i++, j++) {
      const difference = (ids[i] ?? 0) - (ids[j] ?? 0)
      if (difference !== 0) return difference
    }
    return endA - i - (endB - j)
  }

  /** Compares the id of a row with another id, in UTF-8. */
  compareId(row: number, id: Uint8Array): number {
    return this.#ids.compare(id, 0, id.length, this.#starts[row], this.#starts[row + 1])
  }

  #makeRoom(idBytes: number): void {
    if (idBytes + DEVICE_ID_MAX_BYTES > this.#ids.length) {
      const ids = Buffer.allocUnsafe(Math.min(this.#limits.maxIdBytes, this.#ids.length * 2))
      this.#ids.copy(ids, 0, 0, idBytes)
      this.#ids = ids
    }
    if (this.#length < this.#rowTypes.length) return
    const rows = this.#length * 2
    this.#starts = grown(this.#starts, new Uint32Array(rows + 1))
    this.#rowTypes = grown(this.#rowTypes, new Uint32Array(rows))
    this.#updated = grown(this.#updated, new Float64Array(rows))
  }
}

function grown<Rows extends Uint32Array | Float64Array>(from: Rows, to: Rows): Rows {
  to.set(from)
  return to
}
