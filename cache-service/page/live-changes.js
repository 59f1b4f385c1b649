const COLLECT_MS = 250
const SHOWN_MS = 6_000
const LATEST_KEPT = 6
const LOOKUP_MAX = 1_000

/**
 * Turns hints about devices into news: which changed, which are gone, and, of those that are shown, their new
 * metadata. Hints come many at a time and say only ids, and of a busy fleet not all of them: they are collected,
 * and looked up together.
 *
 * @param shownIds the ids on the screen
 * @param updatedOf the `last_updated` of one of them, as it is shown
 * @param refreshed called with what a lookup found, by id
 */
export function createLiveChanges(api, { shownIds, updatedOf, refreshed, changed, announce }) {
  const marks = new Map()
  let latest = []
  let hints = new Map()
  let areSomeUnnamed = false
  let timer

  async function settle() {
    timer = undefined
    const named = hints
    const shown = shownIds()
    const toLookUp = shown.filter((id) =>
      areSomeUnnamed ? named.get(id) !== 'deleted' : named.get(id) === 'changed',
    )
    hints = new Map()
    areSomeUnnamed = false
    mark(named)
    const marked = shown.filter((id) => named.has(id))
    if (marked.length === 1) announce(`${marked[0]} ${named.get(marked[0])}`)
    if (marked.length > 1) announce(`${marked.length} devices on this page changed`)
    if (toLookUp.length > 0) await lookUp(toLookUp)
  }

  function mark(changes) {
    const nowMs = Date.now()
    for (const [id, kind] of changes) {
      marks.set(id, { kind, atMs: nowMs })
      latest = [{ id, kind, atMs: nowMs }, ...latest.filter((entry) => entry.id !== id)].slice(0, LATEST_KEPT)
    }
    for (const [id, { atMs }] of marks) if (nowMs - atMs > SHOWN_MS) marks.delete(id)
    changed()
  }

  async function lookUp(ids) {
    try {
      const { found } = await api.ask('/api/devices/lookup', {
        method: 'POST',
        body: { ids: ids.slice(0, LOOKUP_MAX) },
      })
      const changedToo = ids.filter((id) => {
        const before = updatedOf(id)
        return before !== undefined && found[id] !== undefined && found[id].last_updated !== before
      })
      mark(new Map(changedToo.map((id) => [id, 'changed'])))
      refreshed(found, Date.now())
    } catch {
      // The mark stays; the next change, or loading the page again, brings the rest.
    }
  }

  return {
    /** @param more how many changes besides those of `ids` there were */
    hint(kind, ids, more) {
      for (const id of ids) hints.set(id, kind)
      if (more > 0) areSomeUnnamed = true
      timer ??= setTimeout(settle, COLLECT_MS)
    },
    /** 'changed' or 'deleted' for some seconds after it was. */
    markOf(id, nowMs) {
      const found = marks.get(id)
      return found !== undefined && nowMs - found.atMs <= SHOWN_MS ? found.kind : undefined
    },
    latest: () => latest,
  }
}
