/**
 * A part of the process with a life of its own.
 *
 * `run` is called once. It works until the signal aborts, then finishes what it has in hand and resolves. It
 * rejects only for what the process must not survive: an `OperatorError` at start, or a bug of ours. Outages
 * of Kafka or Redis are its own business.
 */
export type Service = {
  readonly name: string
  run(stop: AbortSignal): Promise<void>
}

/** Somebody must change a setting before this process can work; thrown only before it has ever worked. */
export class OperatorError extends Error {
  override readonly name = 'OperatorError'
}

/**
 * Runs the services side by side until `stop` aborts or one of them fails; then all of them are stopped.
 * Rejects with the first failure, once all have ended.
 */
export async function runServices(services: readonly Service[], stop: AbortSignal): Promise<void> {
  const failed = new AbortController()
  const stopAll = AbortSignal.any([stop, failed.signal])
  const endings = services.map(async (service) => {
    try {
      await service.run(stopAll)
      if (!stopAll.aborted) throw new Error(`${service.name} ended by itself`)
    } catch (error) {
      failed.abort(error)
    }
  })
  await Promise.all(endings)
  if (failed.signal.aborted) throw failed.signal.reason
}
