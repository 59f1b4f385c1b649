import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { z } from 'zod'

export type CurlRequest = { readonly url: URL; readonly init: RequestInit }

const run = promisify(execFile)

/** What a curl line requests. A shell splits it, as it does for the reader of the document; curl itself is not needed. */
export async function curlRequest(line: string, env: Readonly<Record<string, string>>): Promise<CurlRequest> {
  const script = `curl() { for word; do printf '%s\\0' "$word"; done; }\n${line}`
  const { stdout } = await run('sh', ['-c', script], { env })
  const words = stdout.split('\0').slice(0, -1)
  const headers = new Headers()
  let method = 'GET'
  let body: string | undefined
  let url: string | undefined
  while (words.length > 0) {
    const word = words.shift()
    const value = () => z.string().parse(words.shift())
    if (word === '-X') method = value()
    else if (word === '-H') {
      const [, name = '', text = ''] = /^([^:]+): (.*)$/.exec(value()) ?? []
      headers.set(name, text)
    } else if (word === '--json') {
      body = value()
      method = 'POST'
      headers.set('content-type', 'application/json')
    } else if (word !== '-s' && word !== '-sN') url = word
  }
  return { url: new URL(url ?? ''), init: { method, headers, ...(body !== undefined && { body }) } }
}
