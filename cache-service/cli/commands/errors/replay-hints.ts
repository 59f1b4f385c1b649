import type { DeviceId } from '../../../../shared/contract/device-id.ts'
import type { HintAppender } from '../../../redis/events/event-streams.ts'

const IDS_PER_HINT = 250
const MAX_IDS = 10_000

/** Appends hints about the devices that a replay has changed to the event stream, at its end. Best effort. */
export class ReplayHints {
  readonly #appender: HintAppender
  readonly #ids = { changed: new Set<DeviceId>(), deleted: new Set<DeviceId>() }
  #isIncomplete = false

  constructor(appender: HintAppender) {
    this.#appender = appender
  }

  note(kind: 'changed' | 'deleted', deviceId: DeviceId): void {
    this.#ids[kind === 'changed' ? 'deleted' : 'changed'].delete(deviceId)
    if (this.#ids[kind].size < MAX_IDS) this.#ids[kind].add(deviceId)
    else this.#isIncomplete = true
  }

  async append(): Promise<void> {
    const { changed, deleted } = this.#ids
    if (changed.size + deleted.size === 0) return
    try {
      // Without hints, a client that resumes at an older position must learn that events are missing.
      if (this.#isIncomplete || !(await this.#appender.hasListeners()))
        return await this.#appender.gap('missed')
      for (const [kind, ids] of [['changed', [...changed]] as const, ['deleted', [...deleted]] as const]) {
        for (let from = 0; from < ids.length; from += IDS_PER_HINT) {
          await this.#appender.hint(kind, ids.slice(from, from + IDS_PER_HINT), 0)
        }
      }
    } catch {
      // Redis is the source of truth; hints only point to it
    }
  }
}
