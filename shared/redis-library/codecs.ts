import { z } from 'zod'

// Marks for values that JSON has no form for. They work in both directions: reading as any schema does, writing
// when the schema is handed to RedisService.set or RedisConfigStore.update.

type Members = Readonly<Record<string, string | number>>

/**
 * An enum that is stored by the name of its member in lower case, as Python's `cledar.redis` stores an Enum.
 *
 *     const Mode = { FAST: 1, VERY_FAST: 2 } as const     // or a TypeScript enum
 *     enumName(Mode)                                       // Mode.VERY_FAST <-> "very_fast"
 *
 * Python stores `str` and `int` enums by value instead: a stored value that is no member's name is read as one.
 *
 * @throws RangeError if two names are the same in lower case, or two members have the same value.
 */
export function enumName<const T extends Members>(members: T) {
  const byName = new Map<string, T[keyof T]>()
  const names = new Map<string | number, string>()
  for (const [name, value] of namedMembers(members)) {
    const lower = name.toLowerCase()
    if (byName.has(lower)) throw new RangeError(`two members of the enum are called ${lower}`)
    if (names.has(value)) throw new RangeError(`two members of the enum have the value ${value}`)
    byName.set(lower, value)
    names.set(value, lower)
  }
  const values = new Map<string | number, T[keyof T]>([...byName.values()].map((value) => [value, value]))
  const isMember = (value: unknown): value is T[keyof T] =>
    (typeof value === 'string' || typeof value === 'number') && values.has(value)
  const expected = `must be one of ${[...byName.keys()].join(', ')}`

  return z.codec(z.union([z.string(), z.number()]), z.custom<T[keyof T]>(isMember, expected), {
    decode(stored, context) {
      const member = (typeof stored === 'string' ? byName.get(stored) : undefined) ?? values.get(stored)
      if (member !== undefined) return member
      context.issues.push({ code: 'custom', message: expected, input: stored })
      return z.NEVER
    },
    encode: (member) => names.get(member) ?? String(member),
  })
}

/** A TypeScript enum of numbers holds its names a second time, as values of the numbers. */
function namedMembers<T extends Members>(members: T): [string, T[keyof T]][] {
  const isName = (name: string): name is keyof T & string => !/^-?\d+(\.\d+)?$/.test(name)
  return Object.keys(members)
    .filter(isName)
    .map((name) => [name, members[name]])
}

const iso = z.iso.datetime({ offset: true, local: true })

/**
 * A Date that is stored as ISO 8601 in UTC. Python's `isoformat()` is read as well: with an offset, or naive,
 * which is read as UTC; the microseconds that a Date can't hold are cut.
 */
export function isoDate() {
  return z.codec(iso, z.date(), {
    decode: (text) => new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`),
    encode: (date) => date.toISOString(),
  })
}
