const MAX_REQUESTS = 20

/**
 * The devices that the table shows: a page of those whose id begins with `match`. Pages of the API may be short,
 * and empty where few ids match: it asks on until something is found, the end is reached, or it took long.
 */
export function createDeviceList(api, changed) {
  const list = {
    match: '',
    limit: 25,
    rows: [],
    /** By id: what is wrong with devices that can't be shown. */
    damaged: new Map(),
    /** Of the pages from the first to this one; undefined: the first. */
    cursors: [undefined],
    next: undefined,
    isLoading: false,
    error: undefined,
    /** False: it gave up before it found anything. */
    isWhole: true,
  }
  let latest = 0

  async function load() {
    const request = ++latest
    list.isLoading = true
    list.error = undefined
    changed()
    try {
      const page = await collect(list)
      if (request !== latest) return
      Object.assign(list, page, { isLoading: false })
    } catch (error) {
      if (request !== latest) return
      Object.assign(list, {
        isLoading: false,
        error: error.message,
        rows: [],
        damaged: new Map(),
        next: undefined,
      })
    }
    changed()
  }

  async function collect({ match, limit, cursors }) {
    const rows = []
    const damaged = new Map()
    let cursor = cursors.at(-1)
    for (let requests = 0; requests < MAX_REQUESTS; requests++) {
      const query = new URLSearchParams({ limit: String(limit) })
      if (match !== '') query.set('match', match)
      if (cursor !== undefined) query.set('cursor', cursor)
      const page = await api.ask(`/api/devices?${query}`)
      rows.push(...page.devices.map((device) => ({ device, fetchedMs: Date.now() })))
      for (const [id, { detail }] of Object.entries(page.errors ?? {})) damaged.set(id, detail)
      cursor = page.next_cursor ?? undefined
      if (cursor === undefined || rows.length > 0) {
        rows.sort((a, b) => (a.device.device_id < b.device.device_id ? -1 : 1))
        return { rows, damaged, next: cursor, isWhole: true }
      }
    }
    return { rows, damaged, next: cursor, isWhole: false }
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
    /** What a lookup found of the devices shown. */
    refresh(found, nowMs) {
      list.rows = list.rows.map((row) => {
        const device = found[row.device.device_id]
        return device === undefined ? row : { device, fetchedMs: nowMs }
      })
      changed()
    },
  }
}
