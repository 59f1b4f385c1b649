import { once } from 'node:events'
import { connect } from 'node:net'

/** Sends the text unchanged, and returns everything received until the connection is closed. */
export async function rawHttp(
  url: string,
  text: string,
): Promise<{ status: number; head: string; body: string; text: string }> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let reply = ''
  socket.setEncoding('utf8').on('data', (part: string) => (reply += part))
  socket.on('error', () => undefined)
  socket.write(text)
  await once(socket, 'close')
  const [head = '', body = ''] = reply.split('\r\n\r\n')
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]), head, body, text: reply }
}
