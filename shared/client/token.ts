import { TokenError } from './errors.ts'

/** Called before each attempt, so that a token can be replaced at run time. */
export type TokenSource = () => string | undefined | Promise<string | undefined>

/** Anything else would be refused by `fetch` with an error that quotes the whole header. */
const TOKEN = /^[\x21-\x7e]+$/

/** Whether an HTTP header can carry the token: visible ASCII characters, without spaces and line breaks. */
export function isToken(text: string): boolean {
  return TOKEN.test(text)
}

/** Resolves with undefined if there is no token. @throws TokenError */
export async function readToken(source: TokenSource): Promise<string | undefined> {
  let token: unknown
  try {
    token = await source()
  } catch (thrown) {
    throw new TokenError(
      `The function token failed${nameOf(thrown)}; the property thrown has its error`,
      thrown,
    )
  }
  if (token === undefined || token === '') return undefined
  if (typeof token !== 'string') throw new TokenError('The function token must return a string or undefined')
  if (isToken(token)) return token
  throw new TokenError(
    'The function token returned a text with spaces, line breaks or other characters that no token has',
  )
}

/** Not the message, which may quote the token. */
function nameOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return ''
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : ''
  return ` with ${/^[A-Z_0-9]{1,40}$/.test(code) ? code : thrown.constructor.name}`
}
