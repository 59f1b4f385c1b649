import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

// Below the ephemeral ports (Linux from 32768, macOS from 49152): no outgoing connection takes a port while its server
// is down, and a client never connects to itself.
const FIRST_PORT = 20_000
const LAST_PORT = 29_999

export type ReservedPort = { port: number; release(): Promise<void> }

/**
 * Reserves a free TCP port of 127.0.0.1: no other test process on this machine gets it until it is released. The lock is
 * a UDP socket with the same port number, which the system closes even if this process is killed.
 */
export async function reservePort(): Promise<ReservedPort> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT + 1))
    const reserved = await tryReserve(port)
    if (reserved !== undefined) return reserved
  }
  throw new Error(`no free port between ${FIRST_PORT} and ${LAST_PORT} on 127.0.0.1`)
}

async function tryReserve(port: number): Promise<ReservedPort | undefined> {
  const lock = createSocket('udp4')
  try {
    lock.bind({ port, address: '127.0.0.1', exclusive: true })
    await once(lock, 'listening')
  } catch {
    lock.close()
    return undefined
  }
  lock.unref()
  const release = async () => {
    const closed = once(lock, 'close')
    lock.close()
    await closed
  }
  if (await isFree(port)) return { port, release }
  await release()
  return undefined
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  try {
    probe.listen({ port, host: '127.0.0.1', exclusive: true })
    await once(probe, 'listening')
  } catch {
    return false
  }
  const closed = once(probe, 'close')
  probe.close()
  await closed
  return true
}
