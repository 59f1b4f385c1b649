import { describe, expect, test } from 'vitest'
import { splitRecords, type FileRecord } from '../../../../cache-service/cli/commands/record-file.ts'

async function split(content: string | Buffer, bytesAtATime = Infinity): Promise<FileRecord[]> {
  const bytes = Buffer.from(content)
  async function* chunks() {
    for (let from = 0; from < bytes.length; from += Math.min(bytesAtATime, bytes.length)) {
      yield bytes.subarray(from, from + bytesAtATime)
    }
  }
  const records: FileRecord[] = []
  for await (const record of splitRecords(chunks())) records.push(record)
  return records
}

const A = '{"device_id":"a","metadata":{"list":[1,{"x":"} ] { \\" ,"}]}}'
const PRETTY = JSON.stringify(JSON.parse(A), null, 2)
const B = '{"device_id": "b", "metadata": {"f": NaN}}'

describe('a file of records', () => {
  test.each<[what: string, content: string, records: [line: number, value: string][]]>([
    ['one record without a line break', A, [[1, A]]],
    [
      'one record per line, with CRLF and empty lines',
      `${A}\r\n\r\n \n${B}\r\n`,
      [
        [1, A],
        [4, B],
      ],
    ],
    ['one record over several lines', `${PRETTY}\n`, [[1, PRETTY]]],
    [
      'records over several lines',
      `${PRETTY}\n${B}\n\n${PRETTY}`,
      [
        [1, PRETTY],
        [12, B],
        [14, PRETTY],
      ],
    ],
    ['a record with CRLF within it', '{\r\n"device_id": "a"\r\n}\r\n', [[1, '{\r\n"device_id": "a"\r\n}']]],
    [
      'brackets at the beginning of lines',
      '{"a":\n{"b":\n[\n{"c":1},\n{"d":2}\n]\n}\n}\n{}\n',
      [
        [1, '{"a":\n{"b":\n[\n{"c":1},\n{"d":2}\n]\n}\n}'],
        [9, '{}'],
      ],
    ],
    ['a list in the format json', `[\n  ${A},\n  ${B}\n]\n`, [[1, `[\n  ${A},\n  ${B}\n]`]]],
    [
      'a record that ends too early, and a good one',
      `{"device_id":"a","metadata":{\n${B}\n`,
      [
        [1, '{"device_id":"a","metadata":{'],
        [2, B],
      ],
    ],
    [
      'an open string, and a good record',
      `{"device_id":"a\n${B}\n`,
      [
        [1, '{"device_id":"a'],
        [2, B],
      ],
    ],
    [
      'a missing comma in several lines, and a good record',
      `{\n  "a": 1\n  "b": 2\n}\n${B}\n`,
      [
        [1, '{\n  "a": 1\n  "b": 2\n}'],
        [5, B],
      ],
    ],
    [
      'text that is no JSON',
      `hello\n"text"\n17\n}\n${B}`,
      [
        [1, 'hello'],
        [2, '"text"'],
        [3, '17'],
        [4, '}'],
        [5, B],
      ],
    ],
    [
      'two records in one line',
      `${A}${B}\n${B}`,
      [
        [1, A + B],
        [2, B],
      ],
    ],
    ['nothing', '\n \r\n', []],
  ])('is split into records, exactly as they are: %s', async (_, content, records) => {
    for (const size of [Infinity, 1, 7]) {
      const found = await split(content, size)
      expect(found.map(({ line, value }) => [line, value.toString()])).toEqual(records)
    }
  })

  test.each([
    ['a byte order mark', Buffer.from(`\uFEFF${A}`), /byte order mark/],
    ['UTF-16', Buffer.from(`\uFEFF${A}`, 'utf16le'), /iconv -f UTF-16/],
    ['several values in one line', Buffer.from(A + B), /jq -c \.\)/],
    ['a list', Buffer.from(`[\n${A},\n${B}\n]`), /jq -c '\.\[\]'/],
  ])('has a hint if it contains %s', async (_, bytes, hint) => {
    const [record] = await split(bytes)
    expect(record?.hint).toMatch(hint)
  })

  test('has no hint if it is as it should be, or if a record is merely invalid', async () => {
    const records = await split(`${A}\n${PRETTY}\n{"a"\n{"a":1]\nhello\n`)
    expect(records.map(({ hint }) => hint)).toEqual([undefined, undefined, undefined, undefined, undefined])
  })

  test('keeps bytes that are not text', async () => {
    const bytes = Buffer.from([0x80, 0xc3, 0x28, 0x7b])
    expect((await split(Buffer.concat([bytes, Buffer.from(`\n${B}`)]))).map(({ value }) => value)).toEqual([
      bytes,
      Buffer.from(B),
    ])
  })

  test('is read in linear time: many lines, open brackets, and one long line in small pieces', async () => {
    expect(await split(`${B}\n`.repeat(20_000))).toHaveLength(20_000)
    expect(await split('{\n'.repeat(20_000))).toHaveLength(20_000)
    expect(await split('[\n'.repeat(20_000))).toHaveLength(1)
    const long = `{"device_id":"a","x":"${'x'.repeat(2_000_000)}"}`
    expect(await split(long, 1_000)).toHaveLength(1)
  })
})
