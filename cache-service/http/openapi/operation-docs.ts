import type { ProblemType } from '../../../shared/contract/problems.ts'
import type { ResponseHeaderName } from './response-headers.ts'

/** What the OpenAPI document says about an operation besides its schemas. A test sends every example to the API. */
export type OperationDocs = {
  /** If the route has none. */
  readonly description?: string
  /** The path and query parameters of the example request. */
  readonly parameters?: Readonly<Record<string, string | number>>
  readonly body?: unknown
  /** Descriptions of the request headers that have an effect, apart from Authorization and those that belong to the body. */
  readonly headers?: Readonly<Record<string, string>>
  /** The responses other than errors. */
  readonly replies: Readonly<Record<number, ReplyDocs>>
  /** Examples of problems whose detail differs between operations. */
  readonly problems?: Readonly<Partial<Record<ProblemType, Occurrence>>>
  /** Only for operations of the cache-queue service: names of its errors (cache-queue/error-docs.ts). */
  readonly errors?: readonly string[]
}

export type ReplyDocs = {
  readonly description: string
  readonly example?: unknown
  /** Instead of `example`, by name. */
  readonly examples?: Readonly<Record<string, unknown>>
  readonly headers?: readonly ResponseHeaderName[]
}

export type Occurrence = { readonly detail: string; readonly extensions?: object }
