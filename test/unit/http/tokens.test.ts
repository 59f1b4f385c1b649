import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { findToken, parseTokens, type ApiToken } from '../../../cache-service/http/tokens.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const entry = (name: string, more: object = {}) => ({ name, sha256: sha256(name), scopes: ['read'], ...more })

function tokensOf(text: string): readonly ApiToken[] {
  const parsed = parseTokens(text)
  if (parsed.kind === 'invalid') throw new Error(parsed.reason)
  return parsed.tokens
}

function reasonOf(text: string): string {
  const parsed = parseTokens(text)
  return parsed.kind === 'invalid' ? parsed.reason : ''
}

const both = [entry('a'), entry('b')]

describe('a token file', () => {
  it.each([
    ['a JSON list', JSON.stringify(both)],
    ['an object with a list', JSON.stringify({ tokens: both })],
    ['one token per line', both.map((token) => JSON.stringify(token)).join('\n')],
    ['a list after a byte order mark', `\uFEFF${JSON.stringify(both)}`],
    ['lines after a byte order mark', `\uFEFF${both.map((token) => JSON.stringify(token)).join('\r\n')}\r\n`],
    ['lines with comments', `# who\n${both.map((token) => JSON.stringify(token)).join('\n\n  # and\n')}\n`],
  ])('can be %s', (_, text) => {
    expect(tokensOf(text).map(({ name }) => name)).toEqual(['a', 'b'])
  })

  it('can have a single token, with an upper-case hash and an expiry', () => {
    const token = { ...entry('a'), sha256: sha256('a').toUpperCase(), expires: '2030-01-01T00:00:00Z' }
    expect(tokensOf(JSON.stringify(token))).toEqual([
      { name: 'a', sha256: sha256('a'), scopes: ['read'], expiresAtMs: Date.UTC(2030, 0, 1) },
    ])
  })

  it.each([
    ['nothing', '', /no token/],
    ['nothing but a byte order mark', '\uFEFF', /no token/],
    ['text other than JSON', 'name: a', /neither JSON/],
    ['UTF-16', Buffer.from(`\uFEFF${JSON.stringify(both)}`, 'utf16le').toString('utf8'), /encoded in UTF-16/],
    [
      'UTF-16 without a mark',
      Buffer.from(JSON.stringify(both), 'utf16le').toString('utf8'),
      /encoded in UTF-16/,
    ],
    ['another encoding', Buffer.from('[{"name":"café"}', 'latin1').toString('utf8'), /not encoded in UTF-8/],
    ['an empty list', '[]', /no token/],
    ['a token twice', JSON.stringify([entry('a'), entry('a')]), /same name/],
    ['a token instead of its hash', JSON.stringify([entry('a', { token: 'secret' })]), /token/],
    ['a short hash', JSON.stringify([entry('a', { sha256: 'abc' })]), /64 hexadecimal/],
    ['an unknown scope', JSON.stringify([entry('a', { scopes: ['all'] })]), /0\.scopes/],
    ['no scope', JSON.stringify([entry('a', { scopes: [] })]), /0\.scopes/],
    ['an expiry that is not a time', JSON.stringify([entry('a', { expires: 'soon' })]), /0\.expires/],
  ])('with %s is refused with a reason', (_, text, reason) => {
    expect(reasonOf(text)).toMatch(reason)
  })

  it.each(['', ' \n', '# all revoked\n', '[]', '{"tokens":[]}'])(
    'with %j has no tokens, which differs from a mistake',
    (text) => {
      expect(parseTokens(text)).toMatchObject({ kind: 'invalid', isEmpty: true })
      expect(parseTokens('[1]')).toMatchObject({ kind: 'invalid', isEmpty: false })
    },
  )

  it('is refused without quoting its content', () => {
    expect(reasonOf(JSON.stringify([entry('a', { sha256: 'my-password' })]))).not.toContain('my-password')
  })
})

describe('a token', () => {
  const tokens = tokensOf(JSON.stringify([entry('a'), entry('b', { expires: '2030-01-01T00:00:00Z' })]))

  it('is found by its text, not by its hash', () => {
    expect(findToken(tokens, 'a', 0)?.name).toBe('a')
    expect(findToken(tokens, sha256('a'), 0)).toBeUndefined()
    expect(findToken(tokens, '', 0)).toBeUndefined()
  })

  it('is valid until it expires', () => {
    const end = Date.UTC(2030, 0, 1)
    expect(findToken(tokens, 'b', end - 1)?.name).toBe('b')
    expect(findToken(tokens, 'b', end)).toBeUndefined()
  })
})
