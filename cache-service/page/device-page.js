import { createSource } from './source.js'

const HISTORY_KEPT = 100
/** Hints are best effort, and an expiry has none. */
const REREAD_AFTER_MS = 15_000

/** The device that the page shows, if any: `shown` is what createOpenDevice returns. */
export function createDevicePage(api, ports) {
  const page = {
    shown: undefined,
    open(id) {
      if (page.shown?.id === id) return
      page.close()
      page.shown = createOpenDevice(api, id, ports)
      page.shown.source.load()
    },
    close() {
      page.shown?.close()
      page.shown = undefined
    },
  }
  return page
}

/**
 * One device, with what has happened to it while it was open. Each opening has an object of its own, so that an answer
 * that arrives after another device was opened cannot concern that one.
 *
 * `source.data` is `{ state, device, hash, reason }`. state: 'found', 'corrupt', 'missing', 'rebuilding' (missing, but a
 * rebuild may bring it back) or 'invalid'. hash: as Redis holds it, field → text. reason: of a corrupt device or an invalid
 * id.
 */
function createOpenDevice(api, id, { now, changed, announce }) {
  let isOpen = true
  const source = createSource(read, { now, changed })
  const opened = {
    id,
    source,
    /** `{ atMs, kind, fields: [{ name, before, after }] }`, newest first. */
    history: [],
    deleteError: undefined,
    isDeleting: false,
    /** Resolves with whether it is different from the last reading. */
    async reread() {
      const before = opened.history
      await source.load()
      return opened.history !== before
    },
    rereadIfDue() {
      if (source.error !== undefined || now() - source.atMs >= REREAD_AFTER_MS) source.load()
    },
    async remove() {
      if (opened.isDeleting) return
      Object.assign(opened, { isDeleting: true, deleteError: undefined })
      changed()
      try {
        await api.ask(devicePath(id), { method: 'DELETE' })
      } catch (error) {
        if (error.status !== 404) opened.deleteError = error
      }
      opened.isDeleting = false
      changed()
      if (isOpen) await source.load()
    },
    close() {
      isOpen = false
    },
  }

  async function read() {
    const before = source.data
    const found = await readDevice(api, id)
    if (before !== undefined && isOpen) note(before, found)
    return found
  }

  function note(before, found) {
    const fields = changedFields(before.hash ?? {}, found.hash ?? {})
    if (found.state === before.state && found.reason === before.reason && fields.length === 0) return
    const kind = found.state === before.state ? 'changed' : KINDS[found.state]
    opened.history = [{ atMs: now(), kind, fields }, ...opened.history].slice(0, HISTORY_KEPT)
    announce(`${id}: ${kind}`)
  }

  return opened
}

const KINDS = {
  found: 'is in the cache again',
  corrupt: 'was corrupted',
  missing: 'was deleted or has expired',
  rebuilding: 'is missing during a rebuild',
  invalid: 'is not a device id',
}

/** Whether the id can be a segment of a URL: browsers resolve these as relative paths, even if they are escaped. */
export function hasPath(id) {
  return id !== '.' && id !== '..'
}

function devicePath(id) {
  return `api/devices/${encodeURIComponent(id)}`
}

/** A lookup takes every id, also those that cannot be a segment of a URL. */
async function readDevice(api, id) {
  const { found, errors, complete } = await api.lookUp([id])
  const device = Object.hasOwn(found, id) ? found[id] : undefined
  const problem = Object.hasOwn(errors, id) ? errors[id] : undefined
  const reason = problem?.detail ?? problem?.title
  if (device !== undefined) return { state: 'found', device, hash: await readHash(api, id) }
  if (problem?.type === 'corrupt_device') return { state: 'corrupt', reason, hash: await readHash(api, id) }
  if (problem !== undefined) return { state: 'invalid', reason }
  return { state: complete ? 'missing' : 'rebuilding' }
}

/** undefined: the key holds no hash, or the id cannot be a segment of a URL. */
async function readHash(api, id) {
  if (!hasPath(id)) return undefined
  try {
    return await api.ask(`${devicePath(id)}/hash`)
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
