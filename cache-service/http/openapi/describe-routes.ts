import swagger from '@fastify/swagger'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { z } from 'zod'
import {
  deviceEventSchema,
  resetEventSchema,
  updateEventSchema,
} from '../../../shared/contract/api-schemas.ts'
import type { ProblemType } from '../../../shared/contract/problems.ts'
import { workerReportSchema } from '../../core/workers/worker-report.ts'
import type { ApiServer, Scope } from '../api-server-types.ts'
import { CACHE_QUEUE_TAG } from '../cache-queue/cache-queue-ports.ts'
import { cacheQueueErrors, otherCacheQueueErrors } from '../cache-queue/error-docs.ts'
import { CACHE_QUEUE_DOCS } from '../cache-queue/operation-docs.ts'
import { completeDocument } from './complete-document.ts'
import type { ErrorShape, Operation } from './complete-operation.ts'
import { DEVICE_DOCS } from './device-docs.ts'
import { documentHead } from './document-head.ts'
import {
  declaredProblems,
  listedProblems,
  problemDocs,
  remainingProblems,
  type OperationFacts,
} from './error-responses.ts'
import type { OperationDocs } from './operation-docs.ts'
import { SEARCH_DOCS } from './search-docs.ts'
import { STATE_DOCS } from './state-docs.ts'
import { WORKER_DOCS } from './worker-docs.ts'

export type OpenApiFacts = { readonly version: string; readonly needsTokens: boolean }

const DOCS: Readonly<Record<string, OperationDocs>> = {
  ...DEVICE_DOCS,
  ...SEARCH_DOCS,
  ...STATE_DOCS,
  ...WORKER_DOCS,
  ...CACHE_QUEUE_DOCS,
}

/** The data of the events, which no response refers to: a stream of events has no schema. */
const EVENT_SCHEMAS = {
  DeviceEvent: deviceEventSchema,
  ResetEvent: resetEventSchema,
  UpdateEvent: updateEventSchema,
}
for (const [id, schema] of Object.entries(EVENT_SCHEMAS)) z.globalRegistry.add(schema, { id })
z.globalRegistry.add(workerReportSchema, { id: 'WorkerReport' })

/**
 * Describes the routes that are added after this call.
 * @returns the OpenAPI document, once all routes have been added.
 */
export async function describeRoutes(server: ApiServer, facts: OpenApiFacts): Promise<() => object> {
  const operations = new Map<string, Operation>()
  await server.register(swagger, {
    // The paths of the routes are those of the document.
    stripBasePath: false,
    openapi: documentHead(facts),
    transformObject: jsonSchemaTransformObject,
    transform: (route) => {
      const { schema, url } = route
      const { method, config = {} } = route.route
      const { response = {}, ...others } = schema ?? { hide: true }
      const { scope = 'admin', probe = false, stream = false } = config
      const operation = {
        scope,
        isProbe: probe,
        isStream: stream,
        hasBody: others.body !== undefined,
        hasParameters: others.params !== undefined || others.querystring !== undefined,
      }
      const docs = DOCS[others.operationId ?? '']
      const path = url.replaceAll(/:(\w+)/g, '{$1}')
      operations.set(`${String(method).toLowerCase()} ${path}`, {
        docs,
        scope,
        needsToken: facts.needsTokens && scope !== 'public',
        isStream: stream,
        ...(others.tags?.includes(CACHE_QUEUE_TAG) === true
          ? cacheQueueErrorsOf(operation, docs)
          : problemsOf(operation, docs, Object(response))),
      })
      return jsonSchemaTransform({
        ...route,
        schema: { ...others, response, security: securityOf(scope, facts) },
      })
    },
  })
  let document: object | undefined
  return () => (document ??= completeDocument(server.swagger(), operations, Object.keys(EVENT_SCHEMAS)))
}

/** Where tokens are off, they are optional, so that the document still says which scope an operation needs. */
function securityOf(scope: Scope, { needsTokens }: OpenApiFacts) {
  if (scope === 'public') return []
  return needsTokens ? [{ token: [scope] }] : [{ token: [scope] }, {}]
}

type Errors = Pick<Operation, 'errors' | 'otherErrors' | 'errorShape'>

function problemsOf(facts: OperationFacts, docs: OperationDocs | undefined, response: object): Errors {
  const listed = listedProblems(declaredProblems(response), facts)
  const docsOf = (type: ProblemType) => problemDocs(type, facts.scope, docs?.problems?.[type])
  return {
    errors: listed.map(docsOf),
    otherErrors: remainingProblems(listed).map(docsOf),
    errorShape: PROBLEM_SHAPE,
  }
}

function cacheQueueErrorsOf(facts: OperationFacts, docs: OperationDocs | undefined): Errors {
  return {
    errors: cacheQueueErrors(facts, docs?.errors ?? []),
    otherErrors: otherCacheQueueErrors(),
    errorShape: CACHE_QUEUE_SHAPE,
  }
}

const PROBLEM_SHAPE: ErrorShape = {
  mediaType: 'application/problem+json',
  schemaOf: (types) => ({
    allOf: [
      { $ref: '#/components/schemas/Problem' },
      { type: 'object', properties: { type: { type: 'string', enum: types } } },
    ],
  }),
}

const CACHE_QUEUE_SHAPE: ErrorShape = {
  mediaType: 'application/json',
  schemaOf: () => ({ $ref: '#/components/schemas/CacheQueueError' }),
}
