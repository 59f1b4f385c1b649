/**
 * Reports conditions that a repeated reading finds again and again: each once when it begins, and once when it has ended.
 *
 * @returns to be called with every reading: what is the case now → what to print when it no longer is.
 */
export function createConditions(
  print: (line: string) => void,
): (current: ReadonlyMap<string, string>) => void {
  let known: ReadonlyMap<string, string> = new Map()
  return (current) => {
    for (const begun of current.keys()) if (!known.has(begun)) print(begun)
    for (const [begun, ended] of known) if (!current.has(begun)) print(ended)
    known = current
  }
}
