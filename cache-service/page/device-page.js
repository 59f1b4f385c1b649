const HISTORY_KEPT = 100
/** Hints are best effort, and an expiry has none. */
const REREAD_AFTER_MS = 15_000

/**
 * The device that the page shows, with what has happened to it while it was open.
 *
 * `state`: 'loading', 'found', 'corrupt', 'missing', 'rebuilding' (missing, but a rebuild may bring it back) or 'invalid'.
 */
export function createDevicePage(api, { now, changed, announce }) {
  const page = {
    id: undefined,
    state: 'loading',
    device: undefined,
    /** As Redis holds it: field → text. */
    hash: undefined,
    /** Of a corrupt device or an invalid id: why. */
    reason: undefined,
    /** The last attempt to read it failed; what is shown is older. */
    error: undefined,
    atMs: undefined,
    /** `{ key, atMs, kind, fields: [{ name, before, after }] }`, newest first. */
    history: [],
    deleteError: undefined,
    isDeleting: false,
  }
  let request = 0

  async function load() {
    const current = ++request
    const { id } = page
    try {
      const read = await readDevice(api, id)
      if (current !== request) return
      note(read)
      Object.assign(page, read, { error: undefined, atMs: now() })
    } catch (error) {
      if (current !== request) return
      page.error = error
    }
    changed()
  }

  /** Adds to the history what is different from the last reading. */
  function note(read) {
    if (page.state === 'loading') return
    const fields = changedFields(page.hash ?? {}, read.hash ?? {})
    if (read.state === page.state && read.reason === page.reason && fields.length === 0) return
    const kind = read.state === page.state ? 'changed' : KINDS[read.state]
    page.history = [{ key: ++sequence, atMs: now(), kind, fields }, ...page.history].slice(0, HISTORY_KEPT)
    announce(`${page.id}: ${kind}`)
  }
  let sequence = 0

  return {
    page,
    open(id) {
      if (page.id === id) return
      Object.assign(page, { id, state: 'loading', device: undefined, hash: undefined, reason: undefined })
      Object.assign(page, { error: undefined, atMs: undefined, history: [], deleteError: undefined })
      load()
    },
    close() {
      request++
      page.id = undefined
    },
    load,
    /** To call when a lookup for another purpose has found it. */
    seen(device) {
      if (device.last_updated !== page.device?.last_updated) load()
    },
    rereadIfDue() {
      if (page.error !== undefined || now() - page.atMs >= REREAD_AFTER_MS) load()
    },
    async remove() {
      Object.assign(page, { isDeleting: true, deleteError: undefined })
      changed()
      try {
        await api.ask(`api/devices/${encodeURIComponent(page.id)}`, { method: 'DELETE' })
      } catch (error) {
        if (error.status !== 404) page.deleteError = error
      }
      page.isDeleting = false
      await load()
    },
  }
}

const KINDS = {
  found: 'is in the cache again',
  corrupt: 'was corrupted',
  missing: 'was deleted or has expired',
  rebuilding: 'is missing during a rebuild',
  invalid: 'is not a device id',
}

/** A lookup takes every id, also those that cannot be a segment of a URL. */
async function readDevice(api, id) {
  const { found, errors, complete } = await api.ask('api/devices/lookup', {
    method: 'POST',
    body: { ids: [id] },
  })
  const device = Object.hasOwn(found, id) ? found[id] : undefined
  const problem = Object.hasOwn(errors, id) ? errors[id] : undefined
  const nothing = { device: undefined, hash: undefined, reason: undefined }
  if (device !== undefined) return { ...nothing, state: 'found', device, hash: await readHash(api, id) }
  if (problem?.type === 'corrupt_device')
    return {
      ...nothing,
      state: 'corrupt',
      reason: problem.detail ?? problem.title,
      hash: await readHash(api, id),
    }
  if (problem !== undefined) return { ...nothing, state: 'invalid', reason: problem.detail ?? problem.title }
  return { ...nothing, state: complete ? 'missing' : 'rebuilding' }
}

/** undefined: the key holds no hash, or the id cannot be a segment of a URL. */
async function readHash(api, id) {
  if (id === '.' || id === '..') return undefined
  const path = `api/devices/${encodeURIComponent(id)}/hash`
  try {
    return await api.ask(path)
  } catch (error) {
    if (error.type === 'corrupt_device' || error.status === 404) return undefined
    throw error
  }
}

function changedFields(before, after) {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  const valueOf = (hash, name) => (Object.hasOwn(hash, name) ? hash[name] : undefined)
  return [...names]
    .map((name) => ({ name, before: valueOf(before, name), after: valueOf(after, name) }))
    .filter((field) => field.before !== field.after)
}
