/**
 * A list that stays as it is while an entry is open: otherwise newer entries would push away what someone is reading.
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
      if (open.size === 0) held = latest
      const shown = new Set(held.map(keyOf))
      const newer = latest.filter((entry) => !shown.has(keyOf(entry))).length
      return { entries: held, newer }
    },
    toggle(key, isOpen) {
      if (isOpen) open.add(key)
      else open.delete(key)
    },
  }
}
