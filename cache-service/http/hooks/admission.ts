import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ApiServer } from '../api-server-types.ts'
import { ProblemError } from '../problem.ts'

/** Of the bodies of all requests in progress: a lookup with long ids needs several times its size until Redis answers. */
const MAX_BODY_BYTES_IN_PROGRESS = 32 * 1024 * 1024

declare module 'fastify' {
  interface FastifyRequest {
    /** Bytes of the body that count as in progress; undefined: the request is not in progress. */
    bytesInProgress: number | undefined
  }
}

/**
 * Limits concurrent requests; further ones are rejected immediately with 503, so that an overload costs their callers
 * little and the others nothing. Probes and event streams do not count.
 *
 * A request is in progress from when its body has been read until its response is ready. How fast a caller sends or
 * reads is limited by connections.ts: a slow one takes no place from the others. A caller that
 * disconnects does not end its request, whose commands Redis still has to answer.
 */
export function boundConcurrency(server: ApiServer, maxConcurrent: number): void {
  let inProgress = 0
  let bytes = 0
  server.decorateRequest('bytesInProgress', undefined)

  const isLimited = (request: FastifyRequest) => {
    const { probe, stream } = request.routeOptions.config
    return probe !== true && stream !== true
  }
  const assertRoom = () => {
    if (inProgress >= maxConcurrent || bytes >= MAX_BODY_BYTES_IN_PROGRESS)
      throw new ProblemError('overloaded')
  }

  // Before the body is read: reading and parsing what is rejected anyway would be the greater part of the work.
  server.addHook('onRequest', (request, _reply, next) => {
    if (isLimited(request)) assertRoom()
    next()
  })
  server.addHook('preValidation', (request, _reply, next) => {
    // The connection was closed to sending when its request timed out: nothing may happen after that response.
    if (!request.raw.socket.writable) throw new ProblemError('request_timeout')
    if (request.bytesInProgress === undefined && isLimited(request)) {
      assertRoom()
      request.bytesInProgress = request.bodyBytes
      inProgress++
      bytes += request.bytesInProgress
    }
    next()
  })
  server.addHook('onSend', (request: FastifyRequest, _reply: FastifyReply, payload: unknown, next) => {
    if (request.bytesInProgress !== undefined) {
      inProgress--
      bytes -= request.bytesInProgress
      request.bytesInProgress = undefined
    }
    next(null, payload)
  })
}
