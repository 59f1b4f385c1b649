import { ReleaseStack } from '../../../cache-service/lifecycle/release-stack.ts'
import { reservePort } from './free-port.ts'
import { startOwnKafka, type OwnKafka } from './native-kafka.ts'

/**
 * A broker that advertises the port of a proxy. The brokers in `kafka.internalBrokers` bypass it.
 *
 * @param startProxy listens on `port`, and connects to `serverPort` on this machine.
 */
export async function startKafkaBehind<Proxy extends { close(): Promise<void> }>(
  startProxy: (port: number, serverPort: number) => Promise<Proxy>,
): Promise<{ readonly kafka: OwnKafka; readonly proxy: Proxy; stop(): Promise<void> }> {
  const releases = new ReleaseStack()
  try {
    const reserved = await reservePort()
    releases.push('the port', () => reserved.release())
    const kafka = await startOwnKafka({ advertisedPort: reserved.port })
    releases.push('Kafka', () => kafka.stop())
    const proxy = await startProxy(reserved.port, kafka.port)
    releases.push('the proxy', () => proxy.close())
    return { kafka, proxy, stop: async () => void (await releases.releaseAll()) }
  } catch (error) {
    await releases.releaseAll()
    throw error
  }
}
