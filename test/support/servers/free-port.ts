import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

// Below the ports that the system hands out by itself (Linux from 32768, macOS from 49152): nobody's outgoing
// connection takes a port while its server is down, and a client never connects to itself.
const FIRST_PORT = 20_000
const LAST_PORT = 29_999

export type ReservedPort = { port: number; release(): Promise<void> }

/**
 * A TCP port of 127.0.0.1 that is free now, and that no other test process on this machine is given until it
 * is released: a UDP socket on the same number is the lock, which the system frees even if we are killed.
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
