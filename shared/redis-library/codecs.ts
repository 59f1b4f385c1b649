import { z } from 'zod'

// zod codecs for values that JSON cannot represent. They decode like any schema, and encode when the schema is passed
// to RedisService.set or RedisConfigStore.update.

type Members = Readonly<Record<string, string | number>>

/**
 * An enum that is stored by the lower-case name of its member, as Python's `cledar.redis` stores an Enum.
 *
 *     const Mode = { FAST: 1, VERY_FAST: 2 } as const     // or a TypeScript enum
 *     enumName(Mode)                                       // Mode.VERY_FAST <-> "very_fast"
 *
 * Python stores `str` and `int` enums by value instead: declare those as `z.enum(members)`. A schema reads only what it
 * writes, because a name may also be the value of another member.
 *
 * @throws RangeError if two names are equal in lower case, or if two members have the same value.
 */
export function enumName<const T extends Members>(members: T) {
  const byName = new Map<string, T[keyof T]>()
  const names = new Map<string | number, string>()
  for (const [name, value] of namedMembers(members)) {
    const lower = name.toLowerCase()
    if (byName.has(lower)) throw new RangeError(`Two members of the enum have the lower-case name ${lower}`)
    if (names.has(value)) throw new RangeError(`Two members of the enum have the value ${value}`)
    byName.set(lower, value)
    names.set(value, lower)
  }
  const isMember = (value: unknown): value is T[keyof T] =>
    (typeof value === 'string' || typeof value === 'number') && names.has(value)
  const expected = `must be one of ${[...byName.keys()].join(', ')}`

  return z.codec(z.string(), z.custom<T[keyof T]>(isMember, expected), {
    decode(stored, context) {
      const member = byName.get(stored)
      if (member !== undefined) return member
      context.issues.push({ code: 'custom', message: expected, input: stored })
      return z.NEVER
    },
    encode: (member) => names.get(member) ?? String(member),
  })
}

/** A numeric TypeScript enum also maps each number back to its name; those entries are left out. */
function namedMembers<T extends Members>(members: T): [string, T[keyof T]][] {
  const isName = (name: string): name is keyof T & string => !/^-?\d+(\.\d+)?$/.test(name)
  return Object.keys(members)
    .filter(isName)
    .map((name) => [name, members[name]])
}

const iso = z.iso.datetime({ offset: true, local: true })

/**
 * A Date that is stored as ISO 8601 in UTC. It also decodes the output of Python's `isoformat()`, with an offset or
 * without one (then it is read as UTC). Microseconds are truncated to the milliseconds of a Date.
 */
export function isoDate() {
  return z.codec(iso, z.date(), {
    decode: (text) => new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`),
    encode: (date) => date.toISOString(),
  })
}
