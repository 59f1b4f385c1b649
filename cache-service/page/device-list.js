const MAX_REQUESTS = 20

/**
 * The devices in the table: a page of those whose id begins with `match`. Pages of the API may be short, or empty where
 * few ids match: it requests further pages until it has a device, reaches the end, or has sent MAX_REQUESTS.
 */
export function createDeviceList(api, changed) {
  const list = {
    match: '',
    limit: 25,
    rows: [],
    /** By id: why the device can't be shown. */
    corrupt: new Map(),
    /** Of the pages from the first to the current one; undefined: the first page. */
    cursors: [undefined],
    next: undefined,
    isLoading: false,
    error: undefined,
    /** False: it stopped before it found a device or reached the end. */
    isComplete: true,
  }
  let latest = 0

  async function load() {
    const request = ++latest
    list.isLoading = true
    changed()
    try {
      const page = await collect(list)
      if (request !== latest) return
      Object.assign(list, page, { isLoading: false, error: undefined })
    } catch (error) {
      if (request !== latest) return
      // The rows stay: what was known last is better than nothing.
      Object.assign(list, { isLoading: false, error: error.message })
    }
    changed()
  }

  async function collect({ match, limit, cursors }) {
    const rows = []
    const corrupt = new Map()
    let cursor = cursors.at(-1)
    for (let requests = 0; requests < MAX_REQUESTS; requests++) {
      const query = new URLSearchParams({ limit: String(limit) })
      if (match !== '') query.set('match', match)
      if (cursor !== undefined) query.set('cursor', cursor)
      const page = await api.ask(`api/devices?${query}`)
      rows.push(...page.devices.map((device) => ({ device, fetchedMs: Date.now() })))
      for (const [id, { detail }] of Object.entries(page.errors ?? {})) corrupt.set(id, detail)
      cursor = page.next_cursor ?? undefined
      if (cursor === undefined || rows.length > 0 || corrupt.size > 0) {
        rows.sort((a, b) => (a.device.device_id < b.device.device_id ? -1 : 1))
        return { rows, corrupt, next: cursor, isComplete: true }
      }
    }
    return { rows, corrupt, next: cursor, isComplete: false }
  }

  return {
    view: list,
    load,
    search(match) {
      Object.assign(list, { match, cursors: [undefined] })
      return load()
    },
    resize(limit) {
      Object.assign(list, { limit, cursors: [undefined] })
      return load()
    },
    forward() {
      list.cursors.push(list.next)
      return load()
    },
    back() {
      list.cursors.pop()
      return load()
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
