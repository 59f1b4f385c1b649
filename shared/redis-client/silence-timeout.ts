import type { Socket } from 'node:net'
import type { Redis } from 'ioredis'

/** What is used here of a client; some of it is private, but only for the compiler. */
type Internals = {
  readonly options: { readonly socketTimeout?: number | undefined }
  readonly stream: Socket
  socketTimeoutTimer: NodeJS.Timeout | undefined
  setSocketTimeout(): void
}

/**
 * Makes `socketTimeout` of a client count silence of the server only. If this process was busy or frozen for longer, the
 * timer runs before the socket is read: ioredis then ends a connection whose reply has arrived long ago, the same work
 * is sent again, and on a machine that is busy enough nothing is ever written.
 *
 * @returns the client.
 */
export function countSilenceOnly<Client extends Redis>(redis: Client): Client {
  const internals = redis as unknown as Internals
  const { setSocketTimeout } = internals
  internals.setSocketTimeout = function (this: Internals) {
    setSocketTimeout.call(this)
    const { options, stream } = this
    const bytesBefore = stream.bytesRead
    clearTimeout(this.socketTimeoutTimer)
    this.socketTimeoutTimer = setTimeout(() => {
      // Sockets are read between timers and immediates.
      setImmediate(() => {
        if (stream.bytesRead > bytesBefore || stream.destroyed) return
        this.socketTimeoutTimer = undefined
        stream.destroy(new Error(`Socket timeout: no reply within ${options.socketTimeout} ms`))
      })
    }, options.socketTimeout)
  }
  return redis
}
