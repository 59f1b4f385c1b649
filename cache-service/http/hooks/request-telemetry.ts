import type { ApiServer } from '../api-server-types.ts'

export type RequestTelemetry = {
  /** @param route its pattern, or `unknown`: never what was asked for. */
  requestDone(method: string, route: string, status: number, seconds: number | undefined): void
  /** Answered with 500: a bug of ours. */
  requestFailed(method: string, route: string, error: unknown): void
}

/** Methods of which callers can't invent more. */
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
