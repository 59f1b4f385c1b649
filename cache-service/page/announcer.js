const ANNOUNCE_EVERY_MS = 3_000

/** For screen readers: announces the latest message, at most one every few seconds. */
export function createAnnouncer(element) {
  let latest = ''
  let waiting

  return function announce(message) {
    latest = message
    if (waiting !== undefined) return
    element.textContent = message
    waiting = setTimeout(() => {
      waiting = undefined
      if (latest !== element.textContent) announce(latest)
    }, ANNOUNCE_EVERY_MS)
  }
}
