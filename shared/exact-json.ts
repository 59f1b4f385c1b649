/**
 * JSON whose numbers keep their digits. `JSON.parse` makes a double of each number, which changes 64-bit ids
 * (`18446744073709551615`) and spellings (`1.0`). Here a number that a double would change is kept as `JSON.rawJSON`,
 * which `JSON.stringify` writes as it was.
 *
 * @see https://github.com/tc39/proposal-json-parse-with-source
 */

type RawJson = { readonly rawJSON: string }

declare global {
  interface JSON {
    rawJSON(text: string): RawJson
    isRawJSON(value: unknown): value is RawJson
    parse(
      text: string,
      reviver: (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown,
    ): unknown
  }
}

/** Everything that a number may look like that a double changes; also some that it does not. */
const SUSPICIOUS = /\d{16}|\d\.\d|\d[eE][-+\d]|-0/

/** Quick, and true for every text with a number that `parseExactJson` would keep as it is written. */
export function mayLoseDigits(text: string): boolean {
  return SUSPICIOUS.test(text)
}

/** @throws SyntaxError as JSON.parse does. */
export function parseExactJson(text: string): unknown {
  return JSON.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source
      ? JSON.rawJSON(source)
      : value,
  )
}

/** As parseExactJson, but at the price of JSON.parse where no number can lose digits. */
export function parseJsonKeepingDigits(text: string): unknown {
  return mayLoseDigits(text) ? parseExactJson(text) : JSON.parse(text)
}
