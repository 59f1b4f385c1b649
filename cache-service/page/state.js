import { parseToShow } from './exact-json.js'
import { createSource } from './source.js'

/** Values that an event was too large for are read one by one, and not more often. */
const READ_EVERY_MS = 1_000

/** The key-values by type. Events bring the new values with them: only `reset` loads everything again. */
export function createState(api, { now, changed }) {
  const marks = new Map()
  const toRead = new Set()
  const values = createVersionedValues()
  const source = createSource(loadAll, { now, changed })
  let timer

  async function loadAll() {
    const asOf = values.begin()
    const { state: found } = await api.ask('api/state', { parse: parseToShow })
    values.replaceAll(found, asOf)
    return values
  }

  function readLater(type) {
    toRead.add(type)
    timer ??= setTimeout(readNext, READ_EVERY_MS)
  }

  async function readNext() {
    const [type] = toRead
    toRead.delete(type)
    // URLs cannot contain these as a path segment.
    if (type === '.' || type === '..') await source.load()
    else await readOne(type)
    timer = toRead.size === 0 ? undefined : setTimeout(readNext, READ_EVERY_MS)
    changed()
  }

  async function readOne(type) {
    const asOf = values.begin()
    try {
      const { state: found } = await api.ask(`api/state/${encodeURIComponent(type)}`, { parse: parseToShow })
      values.set(type, found[type], asOf)
    } catch (error) {
      if (error.status === 404) values.delete(type, asOf)
      // Loading everything is tried until it works.
      else source.error = error
    }
  }

  return {
    source,
    filter: '',
    /** The sorted types; undefined: not loaded yet. */
    get types() {
      return source.data?.types()
    },
    valueOf: values.get,
    /** When the value last changed while this page was open. */
    changedMs: (type) => marks.get(type),
    /** @param json the data of an `update` event */
    apply(json) {
      const { type, updated, valid, values: content } = parseToShow(json)
      marks.set(type, now())
      if (content === undefined) readLater(type)
      else values.set(type, { updated, valid, values: content }, values.begin())
      changed()
      return type
    },
  }
}

/**
 * Values that answers and events bring, in any order: an answer says how things were when it was asked for, at the
 * earliest, and must not replace what came after that.
 */
function createVersionedValues() {
  const values = new Map()
  /** By type: as of when its value, or its absence, is known. The others are known as of `allAsOf`. */
  const known = new Map()
  let allAsOf = 0
  let latest = 0
  let sorted

  const isNewer = (type, asOf) => asOf >= (known.get(type) ?? allAsOf)

  return {
    get: (type) => values.get(type),
    types: () => (sorted ??= [...values.keys()].toSorted((a, b) => (a < b ? -1 : 1))),
    /** To call when an event arrives or before something is asked for; the result goes with what it brings. */
    begin: () => ++latest,
    set(type, value, asOf) {
      if (!isNewer(type, asOf)) return
      known.set(type, asOf)
      if (!values.has(type)) sorted = undefined
      values.set(type, value)
    },
    delete(type, asOf) {
      if (!isNewer(type, asOf)) return
      known.set(type, asOf)
      if (values.delete(type)) sorted = undefined
    },
    replaceAll(found, asOf) {
      const replaceable = (type) => isNewer(type, asOf)
      for (const type of [...values.keys()].filter(replaceable)) values.delete(type)
      for (const type of Object.keys(found).filter(replaceable)) values.set(type, found[type])
      for (const [type, typeAsOf] of known) if (typeAsOf <= asOf) known.delete(type)
      allAsOf = asOf
      sorted = undefined
    },
  }
}
