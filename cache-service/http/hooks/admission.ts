import type { ApiServer } from '../api-server-types.ts'
import { ProblemError } from '../problem.ts'

/**
 * Lets so many requests be in work at a time; one more is answered at once, with 503, so that an overload
 * costs its callers little and the others nothing. Probes and open streams do not count.
 */
export function boundConcurrency(server: ApiServer, maxConcurrent: number): void {
  let inWork = 0
  const done = () => {
    inWork--
  }
  server.addHook('onRequest', (request, reply, next) => {
    const { probe, stream } = request.routeOptions.config
    if (probe === true || stream === true) return next()
    if (inWork >= maxConcurrent) {
      return next(
        new ProblemError(
          503,
          'overloaded',
          'Too many requests at a time',
          undefined,
          {},
          { 'retry-after': '1' },
        ),
      )
    }
    inWork++
    // Comes once, also for a caller who went away.
    reply.raw.once('close', done)
    return next()
  })
}
