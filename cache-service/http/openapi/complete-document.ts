import { z } from 'zod'
import { completeOperation, operationSchema, type Operation } from './complete-operation.ts'
import { RESPONSE_HEADERS } from './response-headers.ts'

const documentSchema = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), operationSchema)),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
})

/**
 * Adds to the generated document what schemas cannot say: examples, curl lines, headers, and the errors that follow from
 * what an operation is. Removes the schemas that nothing refers to.
 *
 * @param operations by method and path, such as `get /api/devices/{id}`
 * @param extraSchemas names of schemas to keep although nothing refers to them
 */
export function completeDocument(
  generated: unknown,
  operations: ReadonlyMap<string, Operation>,
  extraSchemas: readonly string[],
): object {
  const { paths, components, ...head } = documentSchema.parse(withoutSafeIntegerLimits(generated))
  const completed = Object.entries(paths).map(([path, item]) => {
    const methods = Object.entries(item).map(([method, operation]) => {
      const facts = operations.get(`${method} ${path}`)
      return [method, facts === undefined ? operation : completeOperation(method, path, operation, facts)]
    })
    return [path, Object.fromEntries(methods)]
  })
  const completePaths: object = Object.fromEntries(completed)
  const { schemas, ...otherComponents } = components
  return {
    ...head,
    paths: completePaths,
    components: {
      ...otherComponents,
      headers: RESPONSE_HEADERS,
      schemas: schemasInUse(schemas, completePaths, extraSchemas),
    },
  }
}

/** zod's registry describes every schema twice, as input and as output; most are used as one of them. */
function schemasInUse(
  schemas: Readonly<Record<string, unknown>>,
  paths: object,
  extra: readonly string[],
): Readonly<Record<string, unknown>> {
  const used = new Set(extra)
  const collect = (part: unknown): void => {
    const text = JSON.stringify(part) ?? ''
    for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (used.has(name)) continue
      used.add(name)
      collect(schemas[name])
    }
  }
  for (const part of [paths, ...extra.map((name) => schemas[name])]) collect(part)
  return Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name)))
}

/** zod gives an integer the limits within which a double is exact: they say nothing about the API. */
function withoutSafeIntegerLimits(generated: unknown): unknown {
  return JSON.parse(JSON.stringify(generated), (name, value: unknown) =>
    (name === 'minimum' && value === Number.MIN_SAFE_INTEGER) ||
    (name === 'maximum' && value === Number.MAX_SAFE_INTEGER)
      ? undefined
      : value,
  )
}
