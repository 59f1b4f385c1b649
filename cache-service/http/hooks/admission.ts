import type { ApiServer } from '../api-server-types.ts'
import { ProblemError } from '../problem.ts'

/**
 * Limits concurrent requests; further ones are rejected immediately with 503, so that an overload costs their callers
 * little and the others nothing. Probes and event streams do not count.
 */
export function boundConcurrency(server: ApiServer, maxConcurrent: number): void {
  let inProgress = 0
  const done = () => {
    inProgress--
  }
  server.addHook('onRequest', (request, reply, next) => {
    const { probe, stream } = request.routeOptions.config
    if (probe === true || stream === true) return next()
    if (inProgress >= maxConcurrent) {
      return next(new ProblemError('overloaded'))
    }
    inProgress++
    // Emitted once for every request, including those whose caller has disconnected.
    reply.raw.once('close', done)
    return next()
  })
}
