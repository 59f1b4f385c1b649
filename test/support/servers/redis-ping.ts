import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'

export type PingTarget = {
  host: string
  port: number
  username?: string | undefined
  password?: string | undefined
  tls?: { ca: string; cert?: string; key?: string } | undefined
}

/** Speaks the bare protocol, so that tests can wait for a server without a client's retries. */
export async function pingRedis(target: PingTarget, timeoutMs = 1_000): Promise<void> {
  const { host, port, tls } = target
  const commands = [...authCommand(target), ['PING']]
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = tls === undefined ? connectTcp({ host, port }) : connectTls({ host, port, ...tls })
  let received = ''
  socket.setEncoding('utf8')
  socket.setTimeout(timeoutMs, () => reject(new Error(`redis at ${host}:${port} did not answer PING`)))
  socket.on('error', reject)
  socket.on('close', () => reject(new Error(`redis at ${host}:${port} closed the connection`)))
  socket.on('data', (text) => {
    received += text
    const replies = received.split('\r\n').slice(0, -1)
    if (replies.length < commands.length) return
    if (replies.at(-1) === '+PONG') resolve()
    else reject(new Error(`redis at ${host}:${port} answered ${replies.join(' ')}`))
  })
  socket.write(commands.map(encode).join(''))
  try {
    await promise
  } finally {
    socket.destroy()
  }
}

function authCommand({ username, password }: PingTarget): string[][] {
  if (password === undefined) return []
  return [username === undefined ? ['AUTH', password] : ['AUTH', username, password]]
}

function encode(command: readonly string[]): string {
  const parts = command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`)
  return `*${command.length}\r\n${parts.join('')}`
}
