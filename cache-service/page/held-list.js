/**
 * A list that stays as it is while an entry is open: otherwise newer entries would push away what someone is reading.
 * It decides which entries are open, and the view shows that: an entry that is not shown cannot hold the list.
 *
 * @param keyOf returns what identifies an entry
 */
export function createHeldList(keyOf) {
  const open = new Set()
  let held = []
  return {
    keyOf,
    /** The entries to show, and how many are newer, given the `latest`, the newest first. */
    show(latest) {
      const keys = new Set(held.map(keyOf))
      // An entry may have left the list before the browser reported that it was opened.
      for (const key of open) if (!keys.has(key)) open.delete(key)
      if (open.size === 0) held = latest
      const shown = new Set(held.map(keyOf))
      const newer = latest.filter((entry) => !shown.has(keyOf(entry))).length
      return { entries: held, newer }
    },
    isOpen: (key) => open.has(key),
    toggle(key, isOpen) {
      if (isOpen) open.add(key)
      else open.delete(key)
    },
  }
}
