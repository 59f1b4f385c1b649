import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { z } from 'zod'

const media = z.record(z.string(), z.object({ schema: z.unknown() }))
const documentSchema = z.looseObject({
  openapi: z.literal('3.1.0'),
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({ responses: z.record(z.string(), z.object({ content: media.optional() })) }),
    ),
  ),
  components: z.looseObject({}),
})

export type Answer = {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The parsed text; undefined if it is empty or not JSON. */
  readonly json: unknown
}

export type DescribedApi = {
  /** Sends a request, and checks that /openapi.json describes the response. */
  ask(path: string, init?: RequestInit): Promise<Answer>
}

/** A client that throws for every response that the OpenAPI document of the API does not describe. */
export async function describedApi(url: string): Promise<DescribedApi> {
  const document = documentSchema.parse(await (await fetch(`${url}/openapi.json`)).json())
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema({ $id: 'api', components: document.components })
  const compiled = new Map<unknown, ValidateFunction>()
  const validatorOf = (schema: unknown) => {
    const known = compiled.get(schema)
    if (known !== undefined) return known
    const absolute: unknown = JSON.parse(
      JSON.stringify(schema).replaceAll('"#/components', '"api#/components'),
    )
    const created = ajv.compile(z.looseObject({}).parse(absolute))
    compiled.set(schema, created)
    return created
  }

  function check(method: string, path: string, answer: Answer): void {
    const what = `${method} ${path} → ${answer.status}`
    const pattern = Object.keys(document.paths)
      .toSorted((a, b) => a.split('{').length - b.split('{').length)
      .find(
        (candidate) => matches(candidate, path) && method.toLowerCase() in (document.paths[candidate] ?? {}),
      )
    if (pattern === undefined) {
      // Without a route, only a client error is possible.
      if (answer.status < 400 || answer.status > 499) throw new Error(`${what}: not described`)
      return
    }
    const responses = document.paths[pattern]?.[method.toLowerCase()]?.responses ?? {}
    const response = responses[String(answer.status)] ?? responses['default']
    if (response === undefined) throw new Error(`${what}: a status that is not described`)
    if (answer.text === '') {
      if (response.content !== undefined) throw new Error(`${what}: a body is described, and there is none`)
      return
    }
    const type = (answer.headers.get('content-type') ?? '').split(';')[0] ?? ''
    const described = response.content?.[type]
    if (described === undefined) throw new Error(`${what}: ${type} is not described`)
    const validate = validatorOf(described.schema)
    if (!validate(answer.json ?? answer.text)) {
      throw new Error(`${what}: ${ajv.errorsText(validate.errors)} in ${answer.text.slice(0, 500)}`)
    }
  }

  return {
    async ask(path, init = {}) {
      const response = await fetch(url + path, init)
      const text = await response.text()
      const isJson = /[/+]json\b/.test(response.headers.get('content-type') ?? '')
      const json: unknown = text === '' || !isJson ? undefined : JSON.parse(text)
      const answer = { status: response.status, headers: response.headers, text, json }
      const method = init.method ?? 'GET'
      if (method !== 'HEAD') check(method, path.split('?')[0] ?? '', answer)
      return answer
    },
  }
}

export function postJson(body: unknown): RequestInit {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}

function matches(pattern: string, path: string): boolean {
  const [wanted, given] = [pattern.split('/'), path.split('/')]
  return (
    wanted.length === given.length && wanted.every((part, i) => part.startsWith('{') || part === given[i])
  )
}
