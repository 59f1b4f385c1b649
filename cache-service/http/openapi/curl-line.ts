/** The request of an example as a line for a shell. Of the address, only the default port is known here. */
export type ExampleRequest = {
  readonly method: string
  /** As in the document, such as `/api/devices/{id}`. */
  readonly path: string
  readonly parameters: Readonly<Record<string, string | number>>
  readonly body?: unknown
  readonly needsToken: boolean
  readonly isStream: boolean
}

const BASE_URL = 'http://localhost:5011'

export function curlLine({ method, path, parameters, body, needsToken, isStream }: ExampleRequest): string {
  const query = new URLSearchParams()
  let target = path
  for (const [name, value] of Object.entries(parameters)) {
    const inPath = `{${name}}`
    if (path.includes(inPath)) target = target.replace(inPath, encodeURIComponent(value))
    else query.append(name, String(value))
  }
  const url = `${BASE_URL}${target}${query.size === 0 ? '' : `?${query}`}`
  return [
    `curl -s${isStream ? 'N' : ''}`,
    ...(method === 'get' || body !== undefined ? [] : [`-X ${method.toUpperCase()}`]),
    ...(needsToken ? ['-H "Authorization: Bearer $TOKEN"'] : []),
    ...(body === undefined ? [] : [`--json ${quoted(JSON.stringify(body))}`]),
    quoted(url),
  ].join(' ')
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}
