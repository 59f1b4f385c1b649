import { describe, expect, it } from 'vitest'
import { readText, repositoryFiles } from '../../support/docs/repository-files.ts'

// Words and phrases that are kept out of code, messages, tests and docs. CONTRIBUTING.md lists them for people.

type Rule = {
  /** As CONTRIBUTING.md lists it. */
  readonly avoid: string
  /** What to write instead; a failing line shows it. */
  readonly write: string
  /** Case-insensitive unless a flag says otherwise. A space also matches a line break within a comment. */
  readonly pattern: RegExp
}

const rules: readonly Rule[] = [
  // One word, one meaning.
  {
    avoid: 'letter (for a dead letter)',
    write: 'dead letter; character (of the alphabet)',
    pattern: /(?<!dead(?: |_|-))\bletters?\b(?!, digits| and digits)/i,
  },
  { avoid: 'cure', write: 'fix', pattern: /\bcure/i },
  { avoid: 'gravestone', write: 'tombstone', pattern: /\bgravestones?\b/i },
  { avoid: 'sharing out partitions', write: 'rebalance', pattern: /\bshar(?:e|es|ed|ing) out\b/i },

  // Riddles. If a stranger must translate it, rewrite it.
  { avoid: 'nobody', write: 'no one, or name it: "no client listens"', pattern: /\bnobody\b/i },
  { avoid: 'whoever', write: 'anyone who, or name the caller', pattern: /\bwhoever\b/i },
  {
    avoid: 'is told',
    write: 'receives, is notified, is answered with, is asked to',
    pattern: /\b(?:is|are|was|were|be|been|being) told\b|\btold (?:apart|of|twice)\b/i,
  },
  { avoid: 'none of ours', write: 'invalid, unknown, from another system', pattern: /\bnone of ours\b/i },
  { avoid: 'makes no sense', write: 'say what is wrong: "Bad request"', pattern: /\bmakes? no sense\b/i },
  { avoid: 'there is nothing here', write: 'Not found', pattern: /\bthere is nothing here\b/i },

  // Not what an English speaker writes.
  { avoid: 'anew', write: 'again', pattern: /\banew\b/i },
  { avoid: 'for ever', write: 'indefinitely, without limit', pattern: /\bfor ever\b/i },
  { avoid: 'in hand', write: 'in progress, current', pattern: /\bin hand\b/i },
  { avoid: 'in work', write: 'in progress, concurrent', pattern: /\bin work\b/i },
  { avoid: 'in silence', write: 'silently', pattern: /\bin silence\b/i },
  { avoid: 'in earnest', write: 'for real', pattern: /\bearnest\b/i },
  { avoid: 'as ever', write: 'as usual', pattern: /\bas ever\b/i },
  { avoid: 'of before', write: 'previous', pattern: /\bof before\b/i },
  { avoid: 'stays good', write: 'remains valid', pattern: /\bstay(?:s|ed)? good\b/i },
  { avoid: 'so many', write: 'the maximum number of …', pattern: /\bso many\b(?! that)/i },
  {
    avoid: 'stands still',
    write: 'makes no progress, no longer increases',
    pattern: /\bst(?:and|ands|ood) still\b/i,
  },
  { avoid: 'for good', write: 'permanently', pattern: /\bfor good\b/i },
  {
    avoid: 'takes for',
    write: 'considers, mistakes for',
    pattern: /\btak(?:e|es|ing) (?:it |them )?for (?!granted)\b/i,
  },
  { avoid: 'to be had', write: 'available, possible', pattern: /\bto be had\b/i },
  { avoid: 'says of', write: 'says about, reports', pattern: /\bsa(?:y|ys|id) of\b/i },
  { avoid: 'so far as', write: 'as far as, if', pattern: /\bso far as\b/i },
  { avoid: 'one more is', write: 'further ones are', pattern: /\bone more is\b/i },

  // Work that is left is an issue, not a comment.
  { avoid: 'TODO, FIXME, XXX', write: 'do it, or open an issue', pattern: /\b(?:TODO|FIXME|XXX)\b/ },
]

const unread = /^(?:package-lock\.json|test\/fixtures\/.*|test\/unit\/docs\/wording\.test\.ts)$/

/** What CONTRIBUTING.md quotes to say what not to write. */
const quoted = /<!-- wording: off -->.*?<!-- wording: on -->/gs

/** What may stand between two words that a line break parts: the marks of a comment or a quote. */
const GAP = String.raw`(?:\s|[*#>|]|\/\/|--)+`

function findings(path: string, text: string): string[] {
  const read = text.replaceAll(quoted, (passage) => passage.replaceAll(/[^\n]/g, ' '))
  return rules.flatMap(({ pattern, write }) => {
    const anywhere = new RegExp(pattern.source.replaceAll(' ', GAP), `g${pattern.flags}`)
    return [...read.matchAll(anywhere)].map(({ 0: found, index }) => {
      const line = read.slice(0, index).split('\n').length
      return `${path}:${line}: "${found.replaceAll(/\s+/g, ' ')}" -> ${write}`
    })
  })
}

describe('the wording of this repository', () => {
  it('has none of the words and phrases that CONTRIBUTING.md lists', () => {
    const files = repositoryFiles().filter((path) => !unread.test(path))
    expect(files.length).toBeGreaterThan(300)
    const found = files.flatMap((path) => findings(path, readText(path)))
    expect(found.join('\n')).toBe('')
  })

  it('is what CONTRIBUTING.md says, word by word', () => {
    const rows = readText('CONTRIBUTING.md').replaceAll(/ {2,}/g, ' ')
    for (const { avoid, write } of rules) expect(rows).toContain(`| ${avoid} | ${write} |`)
  })
})

describe('the search for words', () => {
  it.each([
    ['a phrase', 'It waits for ever.', 'f:1: "for ever"'],
    ['a phrase that a line break parts in a comment', ' * It waits for\n * ever.', 'f:1: "for * ever"'],
    ['the line of a word', 'one\ntwo\nWhoever calls', 'f:3: "Whoever"'],
    ['a letter that is not dead', 'the letters that failed', 'f:1: "letters"'],
  ])('finds %s', (_, text, start) => {
    expect(findings('f', text)).toEqual([expect.stringContaining(start)])
  })

  it.each([
    'a dead letter, dead letters, a dead\n * letter, dead-letter, dead_letters, DeadLetter',
    '64 letters, digits and dashes',
    'so many that they do not fit',
    'secure, obscure',
    'Método no permitido',
    'before <!-- wording: off -->\n| whoever | for ever |\n<!-- wording: on --> after',
  ])('passes over %j', (text) => {
    expect(findings('f', text)).toEqual([])
  })
})
