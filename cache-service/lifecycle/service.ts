/**
 * A part of the process that runs until it is stopped.
 *
 * `run` is called once. It works until the signal aborts, then finishes its current work and resolves. It rejects
 * only when the process must exit: with an `OperatorError` at start, or because of a bug in our code. It handles
 * outages of Kafka and Redis itself.
 */
export type Service = {
  readonly name: string
  run(stop: AbortSignal): Promise<void>
}

/** An operator must change a setting before this process can work. Thrown only before it has ever worked. */
export class OperatorError extends Error {
  override readonly name = 'OperatorError'
}

/**
 * Runs the services concurrently until `stop` aborts or one of them fails, then stops all of them. Rejects with the
 * first failure once all have ended.
 */
export async function runServices(services: readonly Service[], stop: AbortSignal): Promise<void> {
  const failed = new AbortController()
  const stopAll = AbortSignal.any([stop, failed.signal])
  const endings = services.map(async (service) => {
    try {
      await service.run(stopAll)
      if (!stopAll.aborted) throw new Error(`${service.name} ended unexpectedly`)
    } catch (error) {
      failed.abort(error)
    }
  })
  await Promise.all(endings)
  if (failed.signal.aborted) throw failed.signal.reason
}
