type Followers = { readonly actions: Set<() => void>; readonly run: () => void }

/** One listener for each signal: adding a listener to an AbortSignal takes as long as it already has listeners. */
const followersOf = new WeakMap<AbortSignal, Followers>()

/**
 * Runs `action`, which must not throw, when the signal aborts.
 *
 * @param signal must not be aborted yet.
 * @returns a function that ends this. Nothing of the caller is kept afterwards: a signal may live for years.
 */
export function onAbort(signal: AbortSignal, action: () => void): () => void {
  const followers = followersOf.get(signal) ?? follow(signal)
  const own = () => action()
  followers.actions.add(own)
  return () => {
    if (!followers.actions.delete(own) || followers.actions.size > 0) return
    signal.removeEventListener('abort', followers.run)
    if (followersOf.get(signal) === followers) followersOf.delete(signal)
  }
}

function follow(signal: AbortSignal): Followers {
  const actions = new Set<() => void>()
  const run = () => {
    followersOf.delete(signal)
    for (const action of actions) action()
  }
  const followers: Followers = { actions, run }
  followersOf.set(signal, followers)
  signal.addEventListener('abort', run, { once: true })
  return followers
}

/** Settles as `work` does, or rejects with the signal's reason as soon as it aborts, even if `work` ignores the signal. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let release = () => {}
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else release = onAbort(signal, () => reject(signal.reason))
  })
  try {
    return await Promise.race([aborted, work])
  } finally {
    release()
  }
}

/** Resolves after `ms`, or rejects with the signal's reason when it aborts. */
export async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const elapsed = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))
  try {
    await untilAborted(elapsed, signal)
  } finally {
    clearTimeout(timer)
  }
}

/** A controller that aborts when one of its source signals aborts, until it is released. */
export type LinkedAbort = {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
  release(): void
}

/** Replaces AbortSignal.any, whose result lives as long as its sources. */
export function linkAbort(...sources: readonly (AbortSignal | undefined)[]): LinkedAbort {
  const controller = new AbortController()
  const releases: (() => void)[] = []
  for (const source of sources) {
    if (source === undefined) continue
    if (source.aborted) {
      controller.abort(source.reason)
      break
    }
    releases.push(onAbort(source, () => controller.abort(source.reason)))
  }
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    release: () => releases.forEach((release) => release()),
  }
}
