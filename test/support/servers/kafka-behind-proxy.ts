import { ReleaseStack } from '../../../cache-service/lifecycle/release-stack.ts'
import { reservePort } from './free-port.ts'
import { startOwnKafka, type OwnKafka } from './native-kafka.ts'
import type { TcpAddress } from './network-proxy.ts'

/**
 * A broker that advertises the port of a proxy. The brokers in `kafka.internalBrokers` bypass it.
 *
 * @param startProxy listens on `port`, and connects to the broker.
 */
export async function startKafkaBehind<Proxy extends { stop(): Promise<void> }>(
  startProxy: (broker: TcpAddress, port: number) => Promise<Proxy>,
): Promise<{ readonly kafka: OwnKafka; readonly proxy: Proxy; stop(): Promise<void> }> {
  const releases = new ReleaseStack()
  try {
    const reserved = await reservePort()
    releases.push('the port', () => reserved.release())
    const kafka = await startOwnKafka({ advertisedPort: reserved.port })
    releases.push('Kafka', () => kafka.stop())
    const proxy = await startProxy({ host: '127.0.0.1', port: kafka.port }, reserved.port)
    releases.push('the proxy', () => proxy.stop())
    return { kafka, proxy, stop: async () => void (await releases.releaseAll()) }
  } catch (error) {
    await releases.releaseAll()
    throw error
  }
}
