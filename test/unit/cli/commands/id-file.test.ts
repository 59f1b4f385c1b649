import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { formatOfName, readIds, type IdFormat } from '../../../../cache-service/cli/commands/id-file.ts'

async function idsOf(
  content: string | Buffer,
  format?: IdFormat,
  bytesAtATime = Infinity,
): Promise<string[]> {
  const bytes = Buffer.from(content)
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
    ['empty lines', '\n \r\n\n', []],
    ['one id per line, without a line break at the end', 'a', ['a']],
    ['one id per line, ended by carriage returns', 'a\rb\r', ['a', 'b']],
    [
      'CSV with a byte order mark, semicolons and CRLF',
      '\uFEFFsite;device_id\r\nhall;sensor-1\r\n',
      ['sensor-1'],
    ],
    ['CSV with tabs', 'site\tdevice_id\nhall, 1\tsensor;1\n', ['sensor;1']],
    ['CSV with quotes, also in the header', '"site","device_id"\n"a,b","say ""x"""\n', ['say "x"']],
    ['CSV with a header in upper case', 'SITE;DEVICE_ID\nhall;a\n', ['a']],
    ['CSV after empty lines', '\r\n\r\ndevice_id,site\r\na,x\r\n', ['a']],
    ['CSV with a header only', 'site;device_id\n', []],
  ])('has its format detected: %s', async (_, text, ids) => {
    expect(await idsOf(text)).toEqual(ids)
  })

  test('is read as CSV with --input csv; without a header, the first column counts', async () => {
    expect(await idsOf('a,x\nb,y,z\n', 'csv')).toEqual(['a', 'b'])
    expect(await idsOf('a;x\nb;y,5\n', 'csv')).toEqual(['a', 'b'])
    expect(await idsOf('\uFEFFdevice_id,x\nb,y\n', 'csv')).toEqual(['b'])
  })

  test('may be UTF-16, with or without a byte order mark, in both byte orders', async () => {
    const little = Buffer.from('\uFEFFsite;device_id\r\nKüche;Küche 1\r\n', 'utf16le')
    for (const bytes of [little, little.subarray(2), Buffer.from(little).swap16()]) {
      for (const size of [Infinity, 1]) expect(await idsOf(bytes, undefined, size)).toEqual(['Küche 1'])
    }
  })

  test('is rejected in another encoding, and the error says how to convert it', async () => {
    await expect(idsOf(Buffer.from('Küche\n', 'latin1'))).rejects.toThrow('neither UTF-8 nor UTF-16')
    await expect(idsOf(Buffer.from('device_id\nKüche\n', 'latin1'))).rejects.toThrow('iconv')
  })

  test('may have many lines', async () => {
    const ids = Array.from({ length: 20_000 }, (_, i) => `sensor-${i}`)
    const csv = `device_id;site\r\n${ids.map((id) => `${id};x\r\n`).join('')}`
    expect((await idsOf(csv, undefined, 65_536)).join()).toBe(ids.join())
    expect((await idsOf(ids.join('\n'), undefined, 65_536)).join()).toBe(ids.join())
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
  ['ids.txt', undefined],
  ['ids.tsv', 'csv'],
  ['IDS.CSV', 'csv'],
  ['a.b.jsonl', 'json'],
  ['ids', undefined],
  ['-', undefined],
] as const)('the file name %s suggests the format %s', (name, format) => {
  expect(formatOfName(name)).toBe(format)
})
