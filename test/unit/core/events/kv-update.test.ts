import { describe, expect, test } from 'vitest'
import { parseKvUpdate } from '../../../../cache-service/core/events/kv-update.ts'

const parse = (message: string | Buffer) =>
  parseKvUpdate(typeof message === 'string' ? Buffer.from(message) : message, (key) => key === 'devices')

describe('a message of the update channel', () => {
  test('yields a value without its type, and an event with it', () => {
    expect(parse('{"type": "x", "updated": 1.5, "valid": false, "values": {"a": [1]}, "more": 2}')).toEqual({
      kind: 'update',
      update: {
        type: 'x',
        value: '{"updated":1.5,"valid":false,"values":{"a":[1]}}',
        event: '{"type":"x","updated":1.5,"valid":false,"values":{"a":[1]}}',
      },
    })
  })

  test.each(['0', 'false', '"x"', '[0]', '{"a":null}'])('can have the values %s', (values) => {
    expect(parse(`{"type":"x","values":${values}}`)).toMatchObject({
      kind: 'update',
      update: { value: `{"updated":null,"valid":null,"values":${values}}` },
    })
  })

  test.each(['null', '""', '[]', '{}'])('cannot have the values %s', (values) => {
    expect(parse(`{"type":"x","values":${values}}`)).toMatchObject({ kind: 'invalid', type: 'x' })
  })

  test.each(['1', 'null', '""', '["x"]', '"\\ud800"', `"${'x'.repeat(1_025)}"`])(
    'cannot have the type %s',
    (type) => {
      expect(parse(`{"type":${type},"values":[1]}`)).toMatchObject({ kind: 'invalid', type: undefined })
    },
  )

  test('that is not a JSON object is not an update', () => {
    for (const text of ['[]', '1', 'null', '"x"']) expect(parse(text).kind).toBe('invalid')
    for (const text of ['', '{', 'x']) expect(parse(text)).toEqual({ kind: 'not_json' })
    expect(parse(Buffer.from([0x22, 0xff, 0x22]))).toEqual({ kind: 'not_json' })
  })

  test('cannot have a platform key as its type', () => {
    expect(parse('{"type":"devices","values":[1]}')).toEqual({ kind: 'protected', type: 'devices' })
  })

  test('that is nested too deeply is refused without a crash', () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000)
    expect(parse(`{"type":"x","values":${deep}}`)).toMatchObject({ kind: 'invalid' })
  })

  test('that is too large for the event stream yields an event without its values', () => {
    const parsed = parse(JSON.stringify({ type: 'x', updated: 'y'.repeat(200), values: 'z'.repeat(70_000) }))
    expect(parsed).toMatchObject({
      kind: 'update',
      update: { event: '{"type":"x","updated":null,"valid":null,"too_large":true}' },
    })
  })
})
