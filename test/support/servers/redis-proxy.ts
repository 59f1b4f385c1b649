import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** What the proxy does instead of forwarding a command: it replies with this error, or closes the connection. */
export type Refusal = `ERR ${string}` | 'close'

export type RedisProxy = {
  readonly host: string
  readonly port: number
  /** The commands that it has received, in upper case, with their subcommand: `CLIENT SETNAME`. */
  readonly seen: readonly string[]
  stop(): Promise<void>
}

/**
 * A proxy that understands RESP, as managed platforms put it in front of Redis: it passes commands on one by one, and
 * refuses some.
 *
 * @param refuse chooses by the name of the command, such as `HELLO` or `CLIENT SETNAME`.
 */
export async function startRedisProxy(
  target: { readonly host: string; readonly port: number },
  refuse: (command: string) => Refusal | undefined,
): Promise<RedisProxy> {
  const seen: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const redis = connect(target)
    for (const socket of [client, redis]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        redis.destroy()
      })
    }
    /** In the order of the commands: a refusal, or null for a reply that Redis owes. */
    const replies: (Buffer | null)[] = []
    const sendRefusals = () => {
      while (replies[0] instanceof Buffer) client.write(replies.shift() ?? '')
    }
    onValues(client, (command) => {
      const name = nameOf(command)
      seen.push(name)
      const refusal = refuse(name)
      if (refusal === 'close') return void client.destroy()
      replies.push(refusal === undefined ? null : Buffer.from(`-${refusal}\r\n`))
      if (refusal === undefined) redis.write(command)
      sendRefusals()
    })
    onValues(redis, (reply) => {
      client.write(reply)
      if (!isMessage(reply)) replies.shift()
      sendRefusals()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    host: '127.0.0.1',
    port: address.port,
    seen,
    async stop() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function onValues(socket: Socket, received: (value: Buffer) => void): void {
  let rest = Buffer.alloc(0)
  socket.on('data', (data: Buffer) => {
    rest = Buffer.concat([rest, data])
    for (let end = endOfValue(rest, 0); end !== undefined; end = endOfValue(rest, 0)) {
      received(Buffer.from(rest.subarray(0, end)))
      rest = rest.subarray(end)
    }
  })
}

/** Where the RESP value that begins at `from` ends; undefined: it is incomplete. */
function endOfValue(bytes: Buffer, from: number): number | undefined {
  const lineEnd = bytes.indexOf('\r\n', from)
  if (lineEnd < 0) return undefined
  const kind = String.fromCharCode(bytes[from] ?? 0)
  const count = Number(bytes.toString('latin1', from + 1, lineEnd))
  let at = lineEnd + 2
  if ('$=!'.includes(kind)) {
    if (count >= 0) at += count + 2
    return at <= bytes.length ? at : undefined
  }
  const values = '*~>'.includes(kind) ? count : kind === '%' ? 2 * count : 0
  for (let i = 0; i < values; i++) {
    const end = endOfValue(bytes, at)
    if (end === undefined) return undefined
    at = end
  }
  return at
}

function nameOf(command: Buffer): string {
  const words = [...command.toString('latin1').matchAll(/\$\d+\r\n([^\r]*)/g)]
  const [name = '', subcommand = ''] = words.map(([, word = '']) => word.toUpperCase())
  return ['CLIENT', 'SCRIPT'].includes(name) ? `${name} ${subcommand}` : name
}

/** A message of a subscription is no reply to a command. */
function isMessage(reply: Buffer): boolean {
  return /^[*>]3\r\n\$7\r\nmessage\r\n/.test(reply.toString('latin1', 0, 24))
}
