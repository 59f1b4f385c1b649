import { z } from 'zod'

const mediaSchema = z.looseObject({
  schema: z.looseObject({}).or(z.literal(true)),
  example: z.unknown().optional(),
  examples: z.record(z.string(), z.object({ value: z.unknown() })).optional(),
})
const responseSchema = z.object({
  description: z.string(),
  headers: z.record(z.string(), z.unknown()).optional(),
  content: z.record(z.string(), mediaSchema).optional(),
})
const parameterSchema = z.object({
  name: z.string(),
  in: z.enum(['path', 'query', 'header']),
  required: z.boolean(),
  description: z.string(),
  schema: z.looseObject({}),
  example: z.unknown().optional(),
})
const operationSchema = z.looseObject({
  operationId: z.string(),
  summary: z.string(),
  description: z.string(),
  tags: z.array(z.string()).length(1),
  security: z.array(z.record(z.string(), z.array(z.string()))),
  parameters: z.array(parameterSchema).default([]),
  requestBody: z.object({ content: z.record(z.string(), mediaSchema) }).optional(),
  responses: z.record(z.string(), responseSchema),
})
const documentSchema = z.looseObject({
  openapi: z.literal('3.1.0'),
  servers: z.array(z.object({ url: z.string() })),
  tags: z.array(z.object({ name: z.string(), description: z.string() })),
  paths: z.record(z.string(), z.record(z.string(), operationSchema)),
  components: z.looseObject({
    schemas: z.record(z.string(), z.looseObject({})),
    headers: z.record(
      z.string(),
      z.looseObject({ schema: z.looseObject({}), example: z.unknown().optional() }),
    ),
  }),
})

export type OpenApiDocument = z.output<typeof documentSchema>
export type DocumentedOperation = z.output<typeof operationSchema> & {
  readonly method: string
  readonly path: string
}
export type DocumentedMedia = z.output<typeof mediaSchema>

/** The document of an API, with everything that every operation must have. */
export async function fetchDocument(url: string): Promise<OpenApiDocument> {
  return documentSchema.parse(await (await fetch(`${url}/openapi.json`)).json())
}

export function operationsOf({ paths }: OpenApiDocument): DocumentedOperation[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  )
}

/** The examples of a request or response body, by name. */
export function examplesOf({ example, examples = {} }: DocumentedMedia): [name: string, value: unknown][] {
  const named = Object.entries(examples).map(([name, { value }]): [string, unknown] => [name, value])
  return example === undefined ? named : [['example', example], ...named]
}

/** The curl line of an operation. */
export function curlLineOf({ description, operationId }: DocumentedOperation): string {
  const line = /```sh\n(curl .*)\n```$/.exec(description)?.[1]
  if (line === undefined) throw new Error(`${operationId} has no curl line`)
  return line
}
