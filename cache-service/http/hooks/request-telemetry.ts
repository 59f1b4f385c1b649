import type { ApiServer } from '../api-server-types.ts'

export type RequestTelemetry = {
  /** @param route the pattern of the route, or `unknown`; never the path that was requested. */
  requestDone(method: string, route: string, status: number, seconds: number | undefined): void
  /** The request was answered with 500. */
  requestFailed(method: string, route: string, error: unknown): void
}

/** A closed set: callers must not be able to create new label values. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

export function countRequests(server: ApiServer, telemetry: RequestTelemetry): void {
  server.addHook('onResponse', (request, reply, done) => {
    const { config, url } = request.routeOptions
    const method = METHODS.has(request.method) ? request.method : 'other'
    const seconds = config.stream === true ? undefined : reply.elapsedTime / 1000
    telemetry.requestDone(method, url ?? 'unknown', reply.statusCode, seconds)
    done()
  })
}
