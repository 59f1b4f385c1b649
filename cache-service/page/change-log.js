const KEPT = 500

/**
 * The changes since the page was opened, newest first, as `{ key, atMs, kind, id }`: kind is `changed` or `deleted` (`id` is
 * a device), `set` (`id` is a type of the state), `more` (`id` is the number of devices that a hint did not name), or
 * `missed`. Paused, `shown` stays as it is, and `waiting` counts what came since.
 */
export function createChangeLog() {
  let entries = []
  let sequence = 0
  const log = {
    shown: [],
    waiting: 0,
    isPaused: false,
    filter: '',
    /** @param changes `{ kind, id }` of one event */
    add(changes, atMs) {
      const added = changes.slice(0, KEPT).map((change) => ({ ...change, atMs, key: ++sequence }))
      entries = [...added.toReversed(), ...entries].slice(0, KEPT)
      if (log.isPaused) log.waiting += changes.length
      else log.shown = entries
    },
    pause() {
      log.isPaused = true
    },
    resume() {
      Object.assign(log, { isPaused: false, waiting: 0, shown: entries })
    },
  }
  return log
}
