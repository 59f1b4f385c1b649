import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { formatOfName, readIds, type IdFormat } from '../../../../cache-service/cli/commands/id-file.ts'

async function idsOf(text: string, format?: IdFormat, bytesAtATime = Infinity): Promise<string[]> {
  const bytes = Buffer.from(text)
  const chunks: Buffer[] = []
  for (let from = 0; from < bytes.length; from += Math.min(bytesAtATime, bytes.length)) {
    chunks.push(bytes.subarray(from, from + bytesAtATime))
  }
  const ids: string[] = []
  for await (const id of readIds(Readable.from(chunks), format)) ids.push(id)
  return ids
}

describe('an id file', () => {
  test.each<[what: string, text: string, ids: string[]]>([
    ['one id per line', 'a\nb:1\r\n\n  Küche 1  \n', ['a', 'b:1', 'Küche 1']],
    ['one id per line, after a byte order mark', '\uFEFFa\nb', ['a', 'b']],
    ['CSV with a header', 'site,device_id\nx,a\ny,"b,1"\n', ['a', 'b,1']],
    ['CSV with a single column', 'device_id\na\n\nb\n', ['a', 'b']],
    ['a JSON list of ids', '["a","b\\nc"]', ['a', 'b\nc']],
    ['a JSON list of objects', '[{"device_id":"a","x":1},"b"]', ['a', 'b']],
    ['a request body of the API', '{"ids":["a","b"]}', ['a', 'b']],
    ['one JSON object per line', '{"device_id":"a"}\n{"device_id":"b"}\n', ['a', 'b']],
    ['a single JSON object', '{"device_id":"a"}', ['a']],
    ['nothing', '', []],
  ])('has its format detected: %s', async (_, text, ids) => {
    expect(await idsOf(text)).toEqual(ids)
  })

  test('is read as CSV with --input csv; without a header, the first column counts', async () => {
    expect(await idsOf('a,x\nb,y,z\n', 'csv')).toEqual(['a', 'b'])
    expect(await idsOf('\uFEFFdevice_id,x\nb,y\n', 'csv')).toEqual(['b'])
  })

  test('is read line by line with --input lines, even if it looks like JSON', async () => {
    expect(await idsOf('{a}\n["b"]\n', 'lines')).toEqual(['{a}', '["b"]'])
  })

  test('may arrive in chunks that split characters', async () => {
    expect(await idsOf('Küche\n漢字\n', 'lines', 1)).toEqual(['Küche', '漢字'])
    expect(await idsOf('["Küche"]', 'json', 1)).toEqual(['Küche'])
  })

  test('with another format is rejected, and the error names the line', async () => {
    await expect(idsOf('{"device_id":"a"}\n{"id":1}\n', 'json')).rejects.toThrow('(line 2)')
    await expect(idsOf('[1,2]')).rejects.toThrow('must be a JSON list of ids')
    await expect(idsOf('"a\n', 'csv')).rejects.toThrow('is not valid CSV')
  })
})

test.each([
  ['ids.txt', 'lines'],
  ['IDS.CSV', 'csv'],
  ['a.b.jsonl', 'json'],
  ['ids', undefined],
  ['-', undefined],
] as const)('the file name %s suggests the format %s', (name, format) => {
  expect(formatOfName(name)).toBe(format)
})
