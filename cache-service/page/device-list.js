import { conditionsOf, deviceQueryText, parseDeviceQuery } from './device-query.js'
import { count, number } from './time.js'

/** The API may have to read all devices first. */
const SEARCH_TIMEOUT_MS = 60_000
const TYPES_KEPT_MS = 60_000
const EXPORTED = [
  'device_id',
  'datatype_name',
  'datatype_id',
  'datatype_unit',
  'persist',
  'last_updated',
  'ttl',
]
const ROOT = new URL('../', import.meta.url)

/**
 * The devices in the table: a page of those that a search finds. What is searched for is in the address, so that links and
 * the back button lead to it; the cursors of the previous pages are in the state of the browser's history.
 */
export function createDeviceList(api, { changed, announce, now }) {
  const list = {
    query: parseDeviceQuery(''),
    rows: [],
    /** By id: why the device can't be shown. */
    corrupt: new Map(),
    /** Of the previous pages; undefined: the first page. */
    previous: [],
    next: undefined,
    total: undefined,
    offset: 0,
    asOfMs: undefined,
    isTruncated: false,
    isLoading: false,
    isExporting: false,
    error: undefined,
    /** The types in the cache, the most frequent first. */
    types: [],
  }
  let latest = 0
  let typesMs = -Infinity

  async function load() {
    const request = ++latest
    list.isLoading = true
    changed()
    const query = conditionsOf(list.query)
    query.set('limit', String(list.query.limit))
    if (list.query.cursor !== undefined) query.set('cursor', list.query.cursor)
    try {
      const page = await api.ask(`api/search/devices?${query}`, { timeoutMs: SEARCH_TIMEOUT_MS })
      if (request !== latest) return
      Object.assign(list, {
        rows: page.devices.map((device) => ({ device, fetchedMs: now() })),
        corrupt: new Map(Object.entries(page.errors ?? {}).map(([id, { detail }]) => [id, detail])),
        next: page.next_cursor ?? undefined,
        total: page.total,
        offset: page.offset,
        asOfMs: Date.parse(page.as_of),
        isTruncated: page.truncated,
        isLoading: false,
        error: undefined,
      })
      announce(
        list.total === 0 ? 'No device matches' : `${positionText(list)} of ${count(list.total, 'device')}`,
      )
      loadTypes()
    } catch (error) {
      if (request !== latest) return
      // The rows stay: what was known last is better than nothing.
      Object.assign(list, { isLoading: false, error: error.message })
      announce(error.message)
    }
    changed()
  }

  async function loadTypes() {
    if (now() - typesMs < TYPES_KEPT_MS) return
    typesMs = now()
    try {
      list.types = (await api.ask('api/search/types', { timeoutMs: SEARCH_TIMEOUT_MS })).types
    } catch {
      // They are suggestions only; the next search loads them again.
      typesMs = -Infinity
    }
    changed()
  }

  /** Loads another page or another search, and adds it to the history of the browser. */
  async function go(changes, previous = []) {
    list.query = { ...list.query, cursor: undefined, ...changes }
    list.previous = previous
    const text = deviceQueryText(list.query)
    history.pushState({ previous }, '', `#devices${text === '' ? '' : `?${text}`}`)
    await load()
  }

  return {
    view: list,
    load,
    go,
    /** Shows what the address says. */
    show(text) {
      list.query = parseDeviceQuery(text)
      list.previous = Array.isArray(history.state?.previous) ? history.state.previous : []
      return load()
    },
    forward: () => go({ cursor: list.next }, [...list.previous, list.query.cursor]),
    back: () => go({ cursor: list.previous.at(-1) }, list.previous.slice(0, -1)),
    /** Shows or hides an extra field; nothing needs to be loaded. */
    toggleColumn(name) {
      const { columns } = list.query
      list.query.columns = columns.includes(name)
        ? columns.filter((column) => column !== name)
        : [...columns, name]
      history.replaceState(history.state, '', `#devices?${deviceQueryText(list.query)}`)
      changed()
    },
    /** Downloads all devices that the search finds, as CSV. */
    async exportAll() {
      const query = conditionsOf(list.query)
      const extra = list.query.columns.map((name) => `extra.${name}`)
      for (const column of [...EXPORTED, ...(extra.length === 0 ? ['extra'] : extra)])
        query.append('column', column)
      const path = `api/search/devices/export?${query}`
      // The browser streams a link to a file, but can't send a token with it.
      if (!api.hasToken()) return download(new URL(path, ROOT).href)
      list.isExporting = true
      changed()
      try {
        const url = URL.createObjectURL(await (await api.open(path)).blob())
        download(url)
        setTimeout(() => URL.revokeObjectURL(url), SEARCH_TIMEOUT_MS)
      } catch (error) {
        announce(error.message)
        list.error = error.message
      }
      list.isExporting = false
      changed()
    },
    /** @param found the result of a lookup of the shown devices, by id. */
    refresh(found, nowMs) {
      list.rows = list.rows.map((row) => {
        const id = row.device.device_id
        return Object.hasOwn(found, id) ? { device: found[id], fetchedMs: nowMs } : row
      })
      changed()
    },
  }
}

/** `26–50`: the places of the rows among all that were found. */
export function positionText({ corrupt, offset, query, rows, total }) {
  if (rows.length + corrupt.size === 0) return '0'
  return `${number(offset + 1)}–${number(Math.min(offset + query.limit, total))}`
}

function download(url) {
  const link = document.createElement('a')
  link.href = url
  link.download = 'devices.csv'
  link.click()
}
