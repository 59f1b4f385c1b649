const COLLECT_MS = 250
/** Hints of a busy fleet do not name every device: then what is on the screen is looked up, but not more often. */
const UNNAMED_EVERY_MS = 2_000
const SHOWN_MS = 6_000
const LATEST_KEPT = 6

/**
 * Turns hints about devices into visible changes: marks the changed and deleted devices, and has those on the screen read
 * again. Hints arrive in bursts and carry only ids, in a busy fleet not even all of them, so they are collected.
 *
 * @param shownIds returns the ids on the screen
 * @param reread reads such ids again; resolves with those that have changed, and never rejects
 */
export function createLiveChanges({ shownIds, reread, changed, announce, now }) {
  const marks = new Map()
  let latest = []
  let hints = new Map()
  let hasUnnamedChanges = false
  let rereadMs = 0
  let timer

  async function settle() {
    timer = undefined
    const named = hints
    const shown = shownIds()
    const includesAll = hasUnnamedChanges && now() - rereadMs >= UNNAMED_EVERY_MS
    const toReread = includesAll ? shown : shown.filter((id) => named.has(id))
    hints = new Map()
    if (includesAll) {
      hasUnnamedChanges = false
      rereadMs = now()
    }
    mark(named)
    const marked = shown.filter((id) => named.has(id))
    if (marked.length === 1) announce(`${marked[0]} ${named.get(marked[0])}`)
    if (marked.length > 1) announce(`${marked.length} devices on this page changed`)
    if (hasUnnamedChanges) timer ??= setTimeout(settle, UNNAMED_EVERY_MS)
    if (toReread.length === 0) return
    const found = await reread(toReread)
    mark(new Map(found.filter((id) => !named.has(id)).map((id) => [id, 'changed'])))
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
