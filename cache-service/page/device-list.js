import { apiUrl } from './api.js'
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

/**
 * The devices in the table: a page of those that a search finds. What is searched for is in the address, so that links and
 * the back button lead to it; the cursors of the previous pages are in the state of the browser's history.
 */
export function createDeviceList(api, { changed, announce, now }) {
  const list = {
    query: parseDeviceQuery(''),
    /** `{ device, fetchedMs, isMissing, asked }`: `asked` is the number of the request that read it. */
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
    error: undefined,
    /** The search that found the rows. */
    foundBy: undefined,
    isExporting: false,
    exportError: undefined,
    /** The types in the cache, the most frequent first. */
    types: [],
  }
  let requests = 0
  let latestLoad = 0
  let typesMs = -Infinity

  async function load() {
    const asked = ++requests
    latestLoad = asked
    list.isLoading = true
    changed()
    const search = searchOf(list.query)
    try {
      const page = await api.ask(`api/search/devices?${search}`, { timeoutMs: SEARCH_TIMEOUT_MS })
      if (asked !== latestLoad) return
      Object.assign(list, {
        rows: page.devices.map((device) => newest({ device, fetchedMs: now(), isMissing: false, asked })),
        corrupt: new Map(Object.entries(page.errors ?? {}).map(([id, { detail }]) => [id, detail])),
        next: page.next_cursor ?? undefined,
        total: page.total,
        offset: page.offset,
        asOfMs: Date.parse(page.as_of),
        isTruncated: page.truncated,
        isLoading: false,
        error: undefined,
        foundBy: search,
      })
      announce(
        list.total === 0 ? 'No device matches' : `${positionText(list)} of ${count(list.total, 'device')}`,
      )
      loadTypes()
    } catch (error) {
      if (asked !== latestLoad) return
      // The rows stay: what was known last is better than nothing.
      Object.assign(list, { isLoading: false, error })
      announce(error.message)
    }
    changed()
  }

  /** Answers may arrive in another order than their requests were sent. */
  function newest(row) {
    const shown = list.rows.find(({ device }) => device.device_id === row.device.device_id)
    return shown !== undefined && shown.asked > row.asked ? shown : row
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
    Object.assign(list, {
      query: { ...list.query, cursor: undefined, ...changes },
      previous,
      exportError: undefined,
    })
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
      Object.assign(list, { isExporting: true, exportError: undefined })
      changed()
      try {
        await exportTo(`api/search/devices/export?${query}`)
      } catch (error) {
        list.exportError = error
        announce(error.message)
      }
      list.isExporting = false
      changed()
    },
    /** Reads rows again; resolves with the ids of those that have changed. A failure leaves them as they are. */
    async reread(ids) {
      const asked = ++requests
      try {
        const { complete, found, missing } = await api.lookUp(ids)
        const changedIds = ids.filter((id) => hasChanged(found, id))
        list.rows = list.rows.map((row) => {
          const id = row.device.device_id
          if (Object.hasOwn(found, id))
            return newest({ device: found[id], fetchedMs: now(), isMissing: false, asked })
          // During a rebuild it may come back.
          return complete && missing.includes(id) ? newest({ ...row, isMissing: true, asked }) : row
        })
        changed()
        return changedIds
      } catch {
        // The next change or a reload brings the metadata.
        return []
      }
    },
  }

  function hasChanged(found, id) {
    const shown = list.rows.find(({ device }) => device.device_id === id)
    if (shown === undefined || !Object.hasOwn(found, id)) return false
    return found[id].last_updated !== shown.device.last_updated
  }

  async function exportTo(path) {
    if (api.hasToken()) {
      const url = URL.createObjectURL(await api.load(path))
      download(url)
      setTimeout(() => URL.revokeObjectURL(url), SEARCH_TIMEOUT_MS)
      return
    }
    // Without a token a link will do, which the browser streams to a file. But whether that works is not known to the page,
    // so it searches for the same first.
    const query = conditionsOf(list.query)
    query.set('limit', '1')
    await api.ask(`api/search/devices?${query}`, { timeoutMs: SEARCH_TIMEOUT_MS })
    download(apiUrl(path))
  }
}

/** As the API expects it. */
function searchOf(query) {
  const params = conditionsOf(query)
  params.set('limit', String(query.limit))
  if (query.cursor !== undefined) params.set('cursor', query.cursor)
  return params.toString()
}

/** Whether the rows are still those of an earlier search. */
export function isOutdated({ foundBy, query }) {
  return foundBy !== undefined && foundBy !== searchOf(query)
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
