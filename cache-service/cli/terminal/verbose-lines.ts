const OMITTED_FIELDS = new Set(['level', 'time', 'service', 'msg'])

/** Turns the JSON lines of a log into readable lines. */
export function verboseLines(write: (line: string) => void): (json: string) => void {
  return (json) => {
    const entry: unknown = JSON.parse(json)
    if (typeof entry !== 'object' || entry === null) return
    const fields = Object.entries(entry)
      .filter(([name]) => !OMITTED_FIELDS.has(name))
      .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    write(`${'msg' in entry ? String(entry.msg) : ''}${fields.join('')}`)
  }
}
