const CODE_BLOCK = /^ *(```+|~~~+)[^\n]*\n.*?^ *\1 *$/gms
const CODE_SPAN = /(?<!`)(`+)(?!`)((?:[^\n]|\n(?!\n))*?)(?<!`)\1(?!`)/g

/** Something of a page, and the line on which it begins. */
export type Found = { readonly text: string; readonly line: number }

/** The anchors that GitHub gives the headings of a page. */
export function anchorsOf(page: string): readonly string[] {
  const counts = new Map<string, number>()
  return [...page.replaceAll(CODE_BLOCK, blank).matchAll(/^#{1,6} +(.+?) *#*$/gm)].map(([, heading = '']) => {
    const name = heading
      .toLowerCase()
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-')
    const count = counts.get(name) ?? 0
    counts.set(name, count + 1)
    return count === 0 ? name : `${name}-${count}`
  })
}

/** The targets of links and images; what is written as code is no link. */
export function linksOf(page: string): readonly Found[] {
  const prose = page.replaceAll(CODE_BLOCK, blank).replaceAll(CODE_SPAN, blank)
  return find(prose, /\]\(<?([^)>\s]+)[^)]*\)/g, (match) => match[1])
}

export function codeSpansOf(page: string): readonly Found[] {
  return find(page.replaceAll(CODE_BLOCK, blank), CODE_SPAN, (match) => match[2])
}

/** With the lines that open and close them. */
export function codeBlocksOf(page: string): readonly Found[] {
  return find(page, CODE_BLOCK, (match) => match[0])
}

function find(
  page: string,
  pattern: RegExp,
  textOf: (match: RegExpExecArray) => string | undefined,
): readonly Found[] {
  return [...page.matchAll(pattern)].map((match) => ({
    text: textOf(match) ?? '',
    line: page.slice(0, match.index).split('\n').length,
  }))
}

/** Spaces in place of a text, so that what follows keeps its line. */
function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ')
}
