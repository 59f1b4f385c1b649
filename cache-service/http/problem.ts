/**
 * An answer that is not the one asked for, as RFC 9457 says it. `type` is one of our own short names
 * (`not_found`, `cache_rebuilding`, …): programs switch on it, people read `title` and `detail`.
 *
 * Neither may quote a value of the cache, a token, or anything else that a log or a proxy must not keep.
 */
export type Problem = Readonly<{
  type: string
  title: string
  status: number
  detail?: string
}> &
  Readonly<Record<string, unknown>>

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** Thrown by a handler or a hook; the server's error handler answers with it. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly problem: Problem
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    type: string,
    title: string,
    detail?: string,
    extra: object = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail ?? title)
    this.problem = { type, title, status, ...(detail !== undefined && { detail }), ...extra }
    this.headers = headers
  }
}
