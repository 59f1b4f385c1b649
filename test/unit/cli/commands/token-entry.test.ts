import { describe, expect, test } from 'vitest'
import { entryOf, withEntry } from '../../../../cache-service/cli/commands/token-entry.ts'
import { findToken, parseTokens } from '../../../../cache-service/http/tokens.ts'

const a = entryOf('token-a', 'a', ['read'], undefined)
const b = entryOf('token-b', 'b', ['read', 'write'], '2030-01-01T00:00:00.000Z')

/** The names in the file as the API reads them. */
function namesIn(text: string): string[] {
  const parsed = parseTokens(text)
  if (parsed.kind === 'invalid') throw new Error(parsed.reason)
  return parsed.tokens.map(({ name }) => name)
}

function added(text: string): string {
  const result = withEntry(text, b)
  if (result.kind === 'refused') throw new Error(result.reason)
  return result.text
}

test('the API finds a token by its entry, which does not contain the token', () => {
  const parsed = parseTokens(JSON.stringify(b))
  if (parsed.kind === 'invalid') throw new Error(parsed.reason)
  expect(findToken(parsed.tokens, 'token-b', 0)).toMatchObject({ name: 'b', scopes: ['read', 'write'] })
  expect(findToken(parsed.tokens, 'token-b', Date.parse('2030-01-01'))).toBeUndefined()
  expect(JSON.stringify(b)).not.toContain('token-b')
})

describe('an entry is added', () => {
  test.each([
    ['an empty file', '', ['b']],
    ['a file of comments', '# none yet\n', ['b']],
    ['one entry per line', `# mine\n${JSON.stringify(a)}\n`, ['a', 'b']],
    ['one entry per line, without a final line break', JSON.stringify(a), ['a', 'b']],
    ['a list', JSON.stringify([a]), ['a', 'b']],
    ['a list of tokens', JSON.stringify({ tokens: [a] }), ['a', 'b']],
    ['one entry over several lines', JSON.stringify(a, null, 2), ['a', 'b']],
  ])('to %s', (_, text, names) => {
    expect(namesIn(added(text))).toEqual(names)
  })

  test('and comments between the lines are kept', () => {
    expect(added(`# mine\n${JSON.stringify(a)}\n# end`)).toBe(
      `# mine\n${JSON.stringify(a)}\n# end\n${JSON.stringify(b)}\n`,
    )
  })
})

describe('a file is not changed', () => {
  test.each([
    ['that is not a list of tokens', 'hello', 'not a list of tokens'],
    ['that already contains the name', JSON.stringify(b), 'choose another --name'],
    ['whose JSON contains comments', `# mine\n[\n${JSON.stringify(a)}\n]`, 'by hand'],
  ])('%s', (_, text, reason) => {
    expect(withEntry(text, b)).toEqual({ kind: 'refused', reason: expect.stringContaining(reason) })
  })
})
