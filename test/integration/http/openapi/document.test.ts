import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { createParser } from 'eventsource-parser'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import {
  examplesOf,
  fetchDocument,
  operationsOf,
  type OpenApiDocument,
} from '../../../support/docs/openapi-document.ts'
import { startApi, type RunningApi } from '../../../support/processes/start-api.ts'
import { useRedisDatabase, type RedisDatabase } from '../../../support/test-scope.ts'

let database: RedisDatabase
let running: RunningApi
let document: OpenApiDocument
const ajv = new Ajv2020({ strict: false, allErrors: true })
addFormats.default(ajv)

beforeAll(async () => {
  database = await useRedisDatabase(inject('redisUrl'))
  running = await startApi({ REDIS_URL: database.url })
  document = await fetchDocument(running.url)
  ajv.addSchema({ $id: 'api', components: document.components })
})
afterAll(async () => {
  await running.stop()
  await database.release()
})

/** Why the value does not match the schema; undefined: it matches. */
function mismatch(schema: object | true, value: unknown): string | undefined {
  const text = JSON.stringify(schema).replaceAll('"#/components', '"api#/components')
  const validate = ajv.compile(JSON.parse(text))
  return validate(value) ? undefined : ajv.errorsText(validate.errors)
}

describe('the OpenAPI document', () => {
  test('describes every route, with an id of its own and a tag that the document explains', () => {
    const operations = operationsOf(document)
    const ids = operations.map(({ operationId }) => operationId)
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids) expect(id).toMatch(/^[a-z]+([A-Z][a-z]+)+$/)
    const tags = new Set(document.tags.map(({ name }) => name))
    expect(operations.filter((operation) => !operation.tags.every((tag) => tags.has(tag)))).toEqual([])
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        ...['/api/devices', '/api/devices/{id}', '/api/devices/lookup', '/api/state', '/api/state/{type}'],
        ...[
          '/api/events',
          '/api/workers',
          '/api/lag',
          '/api/dead-letters',
          '/livez',
          '/readyz',
          '/health',
          '/stats',
        ],
        ...['/api/cache/', '/api/cache/{key}', '/api/queue/publish'],
      ]),
    )
  })

  test('has a description, a curl line, and an example of each required parameter, body and response, for every operation', () => {
    const missing = operationsOf(document).flatMap(({ description, operationId, ...operation }) => {
      const { parameters, requestBody, responses } = operation
      const bodies = Object.values(requestBody?.content ?? {}).map((media) => ['the body', media] as const)
      const replies = Object.entries(responses).flatMap(([status, { content = {} }]) =>
        Object.values(content).map((media) => [`response ${status}`, media] as const),
      )
      return [
        ...(/^\S.*\n\n```sh\ncurl .*\n```$/s.test(description)
          ? []
          : [`${operationId}: a description and a curl line`]),
        ...parameters
          .filter(({ example, required }) => required && example === undefined)
          .map(({ name }) => `${operationId}: an example of ${name}`),
        ...[...bodies, ...replies]
          .filter(([, media]) => examplesOf(media).length === 0)
          .map(([what]) => `${operationId}: an example of ${what}`),
        ...Object.entries(responses)
          .filter(([, reply]) => reply.description === 'Default Response')
          .map(([status]) => `${operationId}: a description of response ${status}`),
      ]
    })
    expect(missing).toEqual([])
  })

  test('has only examples that match their schemas', () => {
    const mismatches = operationsOf(document).flatMap(
      ({ operationId, parameters, requestBody, responses }) => {
        const contents = [
          ...Object.entries(requestBody?.content ?? {}),
          ...Object.values(responses).flatMap(({ content = {} }) => Object.entries(content)),
        ]
        const checked = [
          ...parameters
            .filter(({ example }) => example !== undefined)
            .map(({ example, name, schema }) => [name, schema, example] as const),
          ...contents.flatMap(([type, media]) =>
            examplesOf(media).map(([name, value]) => [`${type} ${name}`, media.schema, value] as const),
          ),
        ]
        return checked.flatMap(([what, schema, value]) => {
          const reason = mismatch(schema, value)
          return reason === undefined ? [] : [`${operationId}, ${what}: ${reason}`]
        })
      },
    )
    const headers = Object.entries(document.components.headers).flatMap(([name, { example, schema }]) => {
      const reason = mismatch(schema, example)
      return reason === undefined ? [] : [`${name}: ${reason}`]
    })
    expect([...mismatches, ...headers]).toEqual([])
  })

  test('has the default of each parameter within its limits, and numbers as numbers', () => {
    const parameters = operationsOf(document).flatMap((operation) => operation.parameters)
    for (const { name, schema } of parameters) {
      const { default: initial } = schema
      if (initial !== undefined) expect([name, mismatch(schema, initial)]).toEqual([name, undefined])
    }
    const { schema } = parameters.find(({ name }) => name === 'limit') ?? {}
    expect(schema).toEqual({ type: 'integer', minimum: 1, maximum: 1000, default: 100 })
  })

  test('explains the events by examples whose data matches the schema of their type', () => {
    const media = document.paths['/api/events']?.['get']?.responses['200']?.content?.['text/event-stream']
    const schemas = { update: 'UpdateEvent', device: 'DeviceEvent', reset: 'ResetEvent' }
    const seen: string[] = []
    for (const [name, text] of media === undefined ? [] : examplesOf(media)) {
      const parser = createParser({
        onEvent({ data, event, id }) {
          seen.push(name)
          expect(event).toBe(name)
          expect(id).toMatch(/^\d+-\d+\.\d+-\d+$/)
          const schema = Object.entries(schemas).find(([kind]) => kind === event)?.[1]
          if (schema === undefined) expect(data).toBe('{}')
          else expect(mismatch({ $ref: `#/components/schemas/${schema}` }, JSON.parse(data))).toBe(undefined)
        },
      })
      parser.feed(String(text))
    }
    expect(seen).toEqual(['update', 'device', 'reset', 'ping'])
  })

  test('names the scope of every operation, and says whether this API requires a token', () => {
    const security = Object.fromEntries(operationsOf(document).map((one) => [one.operationId, one.security]))
    expect(security).toMatchObject({
      getLiveness: [],
      getDevice: [{ token: ['read'] }, {}],
      deleteDevice: [{ token: ['write'] }, {}],
      flushCache: [{ token: ['admin'] }, {}],
    })
    expect(document['info']).toMatchObject({ description: expect.stringContaining('requires no tokens') })
  })

  test('names no schema that nothing uses, and uses none that it does not have', () => {
    const text = JSON.stringify(document)
    const used = new Set([...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name))
    const events = ['DeviceEvent', 'ResetEvent', 'UpdateEvent']
    expect([...used, ...events].toSorted()).toEqual(Object.keys(document.components.schemas).toSorted())
  })
})
