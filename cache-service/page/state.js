import { parseToShow } from './exact-json.js'

/** Values that an event was too large for are read one by one, and not more often. */
const READ_EVERY_MS = 1_000

/** The key-values by type. Events bring the new values with them: only `reset` loads everything again. */
export function createState(api, { now, changed }) {
  const marks = new Map()
  const toRead = new Set()
  let values = new Map()
  let types
  let timer

  const state = {
    error: undefined,
    atMs: undefined,
    filter: '',
    /** The sorted types; undefined: not loaded yet. */
    get types() {
      types ??= state.atMs === undefined ? undefined : [...values.keys()].toSorted((a, b) => (a < b ? -1 : 1))
      return types
    },
    valueOf: (type) => values.get(type),
    /** When the value last changed while this page was open. */
    changedMs: (type) => marks.get(type),
    /** @param event the data of an `update` event */
    apply(json) {
      const { type, updated, valid, values: content } = parseToShow(json)
      marks.set(type, now())
      if (content === undefined) readLater(type)
      else store(type, { updated, valid, values: content })
      changed()
      return type
    },
    async load() {
      try {
        const { state: found } = await api.ask('api/state', { parse: parseToShow })
        values = new Map(Object.entries(found))
        types = undefined
        Object.assign(state, { error: undefined, atMs: now() })
      } catch (error) {
        state.error = error
      }
      changed()
    },
  }

  function store(type, value) {
    if (!values.has(type)) types = undefined
    values.set(type, value)
  }

  function readLater(type) {
    toRead.add(type)
    timer ??= setTimeout(readNext, READ_EVERY_MS)
  }

  async function readNext() {
    const [type] = toRead
    toRead.delete(type)
    try {
      // URLs cannot contain these as a path segment.
      if (type === '.' || type === '..') await state.load()
      else {
        const { state: found } = await api.ask(`api/state/${encodeURIComponent(type)}`, {
          parse: parseToShow,
        })
        store(type, found[type])
      }
    } catch (error) {
      if (error.status === 404) values.delete(type)
      else state.error = error
    }
    timer = toRead.size === 0 ? undefined : setTimeout(readNext, READ_EVERY_MS)
    changed()
  }

  return state
}
