const COLLECT_MS = 250
/** Hints of a busy fleet do not name every device: then what is on the screen is looked up, but not more often. */
const UNNAMED_EVERY_MS = 2_000
const SHOWN_MS = 6_000
const LATEST_KEPT = 6
const LOOKUP_MAX = 1_000

/**
 * Turns hints about devices into visible changes: marks the changed and deleted devices, and loads the new metadata of
 * those on the screen. Hints arrive in bursts and carry only ids, in a busy fleet not even all of them, so they are
 * collected and looked up together.
 *
 * @param shownIds returns the ids on the screen
 * @param updatedOf returns the displayed `last_updated` of such an id
 * @param refreshed called with the devices that a lookup found, by id
 */
export function createLiveChanges(api, { shownIds, updatedOf, refreshed, changed, announce, now }) {
  const marks = new Map()
  let latest = []
  let hints = new Map()
  let hasUnnamedChanges = false
  let lookedUpMs = 0
  let timer

  async function settle() {
    timer = undefined
    const named = hints
    const shown = shownIds()
    const includesAll = hasUnnamedChanges && now() - lookedUpMs >= UNNAMED_EVERY_MS
    const toLookUp = shown.filter((id) =>
      includesAll ? named.get(id) !== 'deleted' : named.get(id) === 'changed',
    )
    hints = new Map()
    if (includesAll) {
      hasUnnamedChanges = false
      lookedUpMs = now()
    }
    mark(named)
    const marked = shown.filter((id) => named.has(id))
    if (marked.length === 1) announce(`${marked[0]} ${named.get(marked[0])}`)
    if (marked.length > 1) announce(`${marked.length} devices on this page changed`)
    if (hasUnnamedChanges) timer ??= setTimeout(settle, UNNAMED_EVERY_MS)
    if (toLookUp.length > 0) await lookUp(toLookUp)
  }

  function mark(changes) {
    const nowMs = now()
    for (const [id, kind] of changes) {
      marks.set(id, { kind, atMs: nowMs })
      latest = [{ id, kind, atMs: nowMs }, ...latest.filter((entry) => entry.id !== id)].slice(0, LATEST_KEPT)
    }
    for (const [id, { atMs }] of marks) if (nowMs - atMs > SHOWN_MS) marks.delete(id)
    changed()
  }

  async function lookUp(ids) {
    try {
      const { found } = await api.ask('api/devices/lookup', {
        method: 'POST',
        body: { ids: ids.slice(0, LOOKUP_MAX) },
      })
      const lateChanges = ids.filter((id) => {
        const before = updatedOf(id)
        return before !== undefined && Object.hasOwn(found, id) && found[id].last_updated !== before
      })
      mark(new Map(lateChanges.map((id) => [id, 'changed'])))
      refreshed(found, now())
    } catch {
      // The mark stays; the next change or a reload brings the metadata.
    }
  }

  return {
    /** @param more the number of further changes, whose ids are not in `ids` */
    hint(kind, ids, more) {
      for (const id of ids) hints.set(id, kind)
      if (more > 0) hasUnnamedChanges = true
      timer ??= setTimeout(settle, COLLECT_MS)
    },
    /** 'changed' or 'deleted', for a few seconds after the hint. */
    markOf(id, nowMs) {
      const found = marks.get(id)
      return found !== undefined && nowMs - found.atMs <= SHOWN_MS ? found.kind : undefined
    },
    latest: () => latest,
  }
}
