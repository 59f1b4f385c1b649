import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseToShow } from '../../../cache-service/page/exact-json.js'
import { ago, byteSize, span } from '../../../cache-service/page/time.js'

const folder = join(import.meta.dirname, '../../../cache-service/page')
const files = readdirSync(folder).map((name) => ({ name, text: readFileSync(join(folder, name), 'utf8') }))

test.each(files)('$name refers to nothing by an absolute path or another origin', ({ text }) => {
  // Below a path prefix of a reverse proxy, /page/x.js and /api/x are not ours.
  const withoutNamespaces = text.replaceAll('xmlns="http://www.w3.org/2000/svg"', '')
  expect(withoutNamespaces.match(/(?:href|src|from|url|fetch|import)[=( ]*["'`(]?\/(?!\/).*/g)).toBeNull()
  expect(withoutNamespaces).not.toMatch(/https?:\/\//)
})

test('page.css and views.css contain no colours: each is written once per theme, in theme.css', () => {
  const colours = files
    .filter(({ name }) => /^(?:page|views)\.css$/.test(name))
    .flatMap(({ text }) => text.match(/#[0-9a-f]{6}\b/gi) ?? [])
  expect(colours).toEqual([])
})

test('numbers keep their digits when they are shown', () => {
  const json = '{"a":18446744073709551615,"b":[1.0,9007199254740993],"c":"1.0","__proto__":1}'
  expect(JSON.stringify(parseToShow(json))).toBe(json)
})

test.each([
  [-10, 'in 10 s'],
  [-4, 'now'],
  [0, 'now'],
  [59.9, '59 s ago'],
  [3_600, '1 h ago'],
  [48 * 3_600, '2 days ago'],
])('an age of %d s is %s', (seconds, text) => {
  expect(ago(new Date(1e12 - seconds * 1_000).toISOString(), 1e12)).toBe(text)
})

test('sizes and durations have a unit that fits', () => {
  expect([0, 1_023, 1_024, 1.5 * 2 ** 20, 2 ** 50].map(byteSize)).toEqual([
    ...['0 B', '1,023 B', '1 KiB', '1.5 MiB', '1,024 TiB'],
  ])
  expect([0, 61, 86_400].map(span)).toEqual(['0 s', '1 min', '1 day'])
})
