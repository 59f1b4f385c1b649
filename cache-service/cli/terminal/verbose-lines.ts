const LEFT_OUT = new Set(['level', 'time', 'service', 'msg'])

/** The JSON lines of a log as lines for people. */
export function verboseLines(write: (line: string) => void): (json: string) => void {
  return (json) => {
    const entry: unknown = JSON.parse(json)
    if (typeof entry !== 'object' || entry === null) return
    const fields = Object.entries(entry)
      .filter(([name]) => !LEFT_OUT.has(name))
      .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    write(`${'msg' in entry ? String(entry.msg) : ''}${fields.join('')}`)
  }
}
