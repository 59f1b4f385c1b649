import type { DeviceId } from '../../../../shared/contract/device-id.ts'
import type { HintAppender } from '../../../redis/events/event-streams.ts'

const IDS_PER_HINT = 250
const MAX_IDS = 10_000

/** Tells those who follow the events which devices a replay has changed, when it is over. Best effort. */
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
      // Who comes back to an old place must learn that something was missed there.
      if (this.#isIncomplete || !(await this.#appender.hasListeners()))
        return await this.#appender.gap('missed')
      for (const [kind, ids] of [['changed', [...changed]] as const, ['deleted', [...deleted]] as const]) {
        for (let from = 0; from < ids.length; from += IDS_PER_HINT) {
          await this.#appender.hint(kind, ids.slice(from, from + IDS_PER_HINT), 0)
        }
      }
    } catch {
      // Redis is the truth; events only point to it
    }
  }
}
