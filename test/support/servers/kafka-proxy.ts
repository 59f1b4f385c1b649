import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { TcpAddress } from './network-proxy.ts'

/** https://kafka.apache.org/protocol: the numbers of the requests. */
export const API_KEYS = { fetch: 1, offsetCommit: 8 } as const

/** What the proxy does with a request: pass it on, never answer it, or answer with this error for every partition. */
export type KafkaProxyRule = (apiKey: number) => 'forward' | 'swallow' | { readonly errorCode: number }

export type KafkaProxy = {
  /** Requests seen, by API key. */
  readonly seen: ReadonlyMap<number, number>
  /** Replaces the rule for requests that arrive from now on. */
  use(rule: KafkaProxyRule): void
  stop(): Promise<void>
}

const FORWARD: KafkaProxyRule = () => 'forward'

/** A TCP proxy in front of a broker that advertises this port. It understands where requests begin and what they are. */
export async function startKafkaProxy(address: TcpAddress, port: number): Promise<KafkaProxy> {
  const seen = new Map<number, number>()
  const sockets = new Set<Socket>()
  let rule = FORWARD

  const server = createServer((client) => {
    const broker = connect(address)
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    broker.pipe(client)
    let pending: Buffer = Buffer.alloc(0)
    client.on('data', (data) => {
      pending = Buffer.concat([pending, data])
      while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
        const size = 4 + pending.readInt32BE(0)
        const request = pending.subarray(0, size)
        pending = pending.subarray(size)
        const apiKey = request.readInt16BE(4)
        seen.set(apiKey, (seen.get(apiKey) ?? 0) + 1)
        const verdict = rule(apiKey)
        if (verdict === 'forward') broker.write(request)
        else if (verdict !== 'swallow') client.write(refusedCommit(request, verdict.errorCode))
      }
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')

  return {
    seen,
    use: (next) => (rule = next),
    async stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}

/** The answer to an OffsetCommit request of the versions 2 to 5, which KafkaJS sends. */
function refusedCommit(request: Buffer, errorCode: number): Buffer {
  const version = request.readInt16BE(6)
  let at = 12
  const text = () => {
    const length = Math.max(0, request.readInt16BE(at))
    at += 2 + length
    return request.subarray(at - 2 - length, at)
  }
  const int32 = () => request.readInt32BE((at += 4) - 4)
  text() // client id
  text() // group
  int32() // generation
  text() // member
  if (version <= 4) at += 8 // retention
  const parts: Buffer[] = [request.subarray(8, 12)]
  if (version >= 3) parts.push(Buffer.alloc(4)) // throttle time
  const topics = int32()
  parts.push(int32Bytes(topics))
  for (let topic = 0; topic < topics; topic++) {
    parts.push(text())
    const partitions = int32()
    parts.push(int32Bytes(partitions))
    for (let i = 0; i < partitions; i++) {
      const answer = Buffer.alloc(6)
      answer.writeInt32BE(int32(), 0)
      answer.writeInt16BE(errorCode, 4)
      parts.push(answer)
      at += 8 // offset
      text() // metadata
    }
  }
  const body = Buffer.concat(parts)
  return Buffer.concat([int32Bytes(body.length), body])
}

function int32Bytes(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
