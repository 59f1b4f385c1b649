import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const css = readFileSync(new URL('../../../cache-service/page/theme.css', import.meta.url), 'utf8')

/** The colours of a block of theme.css, as [red, green, blue] from 0 to 1. */
function coloursOf(selector: string): Map<string, number[]> {
  const block = css.slice(css.indexOf(`${selector} {`)).split('}')[0] ?? ''
  return new Map(
    [...block.matchAll(/--([\w-]+): #([0-9a-f]{6});/g)].map(([, name = '', hex = '']) => [
      name,
      [0, 2, 4].map((from) => Number.parseInt(hex.slice(from, from + 2), 16) / 255),
    ]),
  )
}

/** As WCAG 2.2 defines it. */
function contrast(a: readonly number[], b: readonly number[]): number {
  const [lighter = 0, darker = 0] = [luminance(a), luminance(b)].toSorted((x, y) => y - x)
  return (lighter + 0.05) / (darker + 0.05)
}

function luminance(colour: readonly number[]): number {
  const [red = 0, green = 0, blue = 0] = colour.map((part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4,
  )
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

const TEXTS = ['ink', 'faint', 'accent', 'bad'].flatMap((text) => [
  [text, 'ground'],
  [text, 'surface'],
])
const PAIRS = [...TEXTS, ['bad', 'bad-faint'], ['ink', 'bad-faint'], ['accent', 'bad-faint']]

describe.each([':root', ":root[data-theme='dark']"])('the colours of %s', (selector) => {
  const colours = coloursOf(selector)
  const colour = (name = '') => colours.get(name) ?? []

  test.each([...PAIRS, ['mark-ink', 'mark'], ['accent-ink', 'accent']])(
    'make %s readable on %s',
    (text, background) => {
      expect(contrast(colour(text), colour(background))).toBeGreaterThanOrEqual(4.5)
    },
  )

  test.each(['control', 'good', 'bad'])('make the shape of %s visible on the surface', (name) => {
    expect(contrast(colour(name), colour('surface'))).toBeGreaterThanOrEqual(3)
  })
})

test('both themes define the same colours', () => {
  expect([...coloursOf(":root[data-theme='dark']").keys()]).toEqual([...coloursOf(':root').keys()])
})
