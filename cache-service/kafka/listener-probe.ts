import { once } from 'node:events'
import type { Socket } from 'node:net'
import { ByteReader } from './byte-reader.ts'

/** What a Kafka listener says about itself before a login. */
export type ListenerFacts = {
  /** The SASL mechanisms that it offers; undefined: it does not use SASL. */
  readonly saslMechanisms: readonly string[] | undefined
}

const SASL_HANDSHAKE = 17
const UNSUPPORTED_SASL_MECHANISM = 33
const CORRELATION_ID = 1
const HEADER_BYTES = 4

/**
 * Asks for a SASL mechanism that does not exist. A listener with SASL replies with those that it has; another one with
 * an error. KafkaJS shows neither: to a client that should log in but does not, a broker just closes the connection.
 *
 * @param socket connected, over TLS if the listener uses it. It is of no further use.
 * @returns undefined if no Kafka broker answers.
 */
export async function askListener(socket: Socket, timeoutMs: number): Promise<ListenerFacts | undefined> {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    socket.write(saslHandshake('none'))
    let received = Buffer.alloc(0)
    while (received.length < HEADER_BYTES || received.length < HEADER_BYTES + received.readInt32BE(0)) {
      const [data]: unknown[] = await once(socket, 'data', { signal })
      if (!(data instanceof Buffer)) return undefined
      received = Buffer.concat([received, data])
      if (received.length >= HEADER_BYTES && received.readInt32BE(0) > MAX_REPLY_BYTES) return undefined
    }
    return readReply(received.subarray(HEADER_BYTES))
  } catch {
    return undefined
  }
}

/** The first bytes of another protocol look like a huge length. */
const MAX_REPLY_BYTES = 10_000

/** https://kafka.apache.org/protocol: request header v1, SaslHandshake v1. */
function saslHandshake(mechanism: string): Buffer {
  const body = Buffer.concat([
    int16(SASL_HANDSHAKE),
    int16(1),
    int32(CORRELATION_ID),
    string('doctor'),
    string(mechanism),
  ])
  return Buffer.concat([int32(body.length), body])
}

function readReply(reply: Buffer): ListenerFacts | undefined {
  const reader = new ByteReader(reply)
  if (reader.int32() !== CORRELATION_ID) return undefined
  if (reader.int16() !== UNSUPPORTED_SASL_MECHANISM) return { saslMechanisms: undefined }
  return { saslMechanisms: reader.array(() => reader.string()) }
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function string(text: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(text)), Buffer.from(text)])
}
