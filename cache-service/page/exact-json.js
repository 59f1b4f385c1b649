/**
 * Parses JSON to show it again: its numbers keep their digits if the browser can (JSON.rawJSON), so that 64-bit integers
 * are not rounded. Such a number is an object that only JSON.stringify understands.
 */
export function parseToShow(text) {
  if (typeof JSON.rawJSON !== 'function') return JSON.parse(text)
  return JSON.parse(text, (_key, value, context) =>
    typeof value === 'number' ? JSON.rawJSON(context.source) : value,
  )
}
