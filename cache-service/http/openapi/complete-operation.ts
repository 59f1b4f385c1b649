import { z } from 'zod'
import type { Scope } from '../api-server-types.ts'
import { curlLine } from './curl-line.ts'
import type { DocumentedError } from './error-responses.ts'
import type { OperationDocs } from './operation-docs.ts'
import type { ResponseHeaderName } from './response-headers.ts'

/** What the document says about an operation besides what its schemas say. */
export type Operation = {
  readonly docs: OperationDocs | undefined
  readonly scope: Scope
  readonly needsToken: boolean
  readonly isStream: boolean
  readonly errors: readonly DocumentedError[]
  /** What the response `default` describes. */
  readonly otherErrors: readonly DocumentedError[]
  readonly errorShape: ErrorShape
}

/** Problem documents, or the errors of the cache-queue service. */
export type ErrorShape = {
  readonly mediaType: string
  readonly schemaOf: (names: readonly string[]) => object
}

const mediaSchema = z.looseObject({ schema: z.unknown() })
const contentSchema = z.record(z.string(), mediaSchema)

export const operationSchema = z.looseObject({
  description: z.string().optional(),
  parameters: z.array(z.looseObject({ name: z.string(), in: z.string() })).optional(),
  requestBody: z.looseObject({ content: contentSchema }).optional(),
  responses: z.record(z.string(), z.looseObject({ content: contentSchema.optional() })),
})

export type GeneratedOperation = z.output<typeof operationSchema>

/** Adds examples, a curl line, headers and error responses to an operation. */
export function completeOperation(
  method: string,
  path: string,
  generated: GeneratedOperation,
  operation: Operation,
): object {
  const { description, parameters: _, requestBody, responses, ...head } = generated
  const { docs } = operation
  const allParameters = parametersOf(generated, docs)
  return {
    ...head,
    ...(docs === undefined
      ? { description }
      : { description: describe(method, path, generated, operation, docs) }),
    ...(allParameters.length > 0 && { parameters: allParameters }),
    ...(requestBody !== undefined && {
      requestBody: { ...requestBody, content: withExamples(requestBody.content, { example: docs?.body }) },
    }),
    responses: { ...repliesOf(responses, docs), ...errorReplies(operation) },
  }
}

function describe(
  method: string,
  path: string,
  generated: GeneratedOperation,
  { isStream, needsToken, scope }: Operation,
  docs: OperationDocs,
): string {
  const { body, parameters = {} } = docs
  const line = curlLine({ method, path, parameters, body, needsToken, isStream })
  const access = scope === 'public' ? 'Needs no token.' : `Needs the scope \`${scope}\`.`
  return `${generated.description ?? docs.description ?? ''}\n\n${access}\n\n\`\`\`sh\n${line}\n\`\`\``
}

/** First those of the path, as readers expect; the headers last. */
function parametersOf({ parameters = [] }: GeneratedOperation, docs: OperationDocs | undefined): object[] {
  const examples = docs?.parameters ?? {}
  const own = parameters.map((parameter) =>
    parameter.name in examples ? { ...parameter, example: examples[parameter.name] } : parameter,
  )
  const headers = Object.entries(docs?.headers ?? {}).map(([name, description]) => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  }))
  const isInPath = (parameter: { readonly in: string }) => parameter.in === 'path'
  return [...own.filter(isInPath), ...own.filter((parameter) => !isInPath(parameter)), ...headers]
}

function repliesOf(responses: GeneratedOperation['responses'], docs: OperationDocs | undefined) {
  return mapValues(responses, (reply, status) => {
    const { description, example, examples = {}, headers } = docs?.replies[Number(status)] ?? {}
    const named = mapValues(examples, (value) => ({ value }))
    return {
      ...reply,
      ...(description !== undefined && { description }),
      ...(headers !== undefined && { headers: headerReferences(headers) }),
      ...(reply.content !== undefined && {
        content: withExamples(
          reply.content,
          Object.keys(named).length > 0 ? { examples: named } : { example },
        ),
      }),
    }
  })
}

function errorReplies({ errors, errorShape, otherErrors }: Operation) {
  const byStatus = Map.groupBy(errors, ({ status }) => String(status))
  if (otherErrors.length > 0) byStatus.set('default', [...otherErrors])
  return Object.fromEntries([...byStatus].map(([status, same]) => [status, errorReply(same, errorShape)]))
}

function errorReply(errors: readonly DocumentedError[], { mediaType, schemaOf }: ErrorShape) {
  const names = errors.map(({ name }) => name)
  const examples = errors.map(({ example, name, when }) => [name, { summary: when, value: example }])
  const headers = new Set(errors.flatMap((error) => error.headers))
  return {
    description: errors.map(({ name, when }) => `- \`${name}\`: ${when}`).join('\n'),
    ...(headers.size > 0 && { headers: headerReferences([...headers]) }),
    content: { [mediaType]: { schema: schemaOf(names), examples: Object.fromEntries(examples) } },
  }
}

function withExamples(content: z.output<typeof contentSchema>, examples: object) {
  return mapValues(content, (media) => ({ ...media, ...examples }))
}

function headerReferences(names: readonly ResponseHeaderName[]) {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T, name: string) => U) {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]))
}
