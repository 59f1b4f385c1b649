import { once } from 'node:events'
import { lookup } from 'node:dns/promises'
import { connect as connectTcp, createServer, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { messageOf } from '../../../../shared/errors.ts'
import type { TlsConfig } from '../../../config/config.ts'
import type { Finding } from '../../../core/doctor.ts'

/** The steps of connecting to a server, up to the first one that fails. */
export type AddressProbe = { readonly findings: readonly Finding[]; readonly isReached: boolean }

export type ProbeTarget = {
  readonly area: 'kafka' | 'redis'
  readonly host: string
  readonly port: number
  readonly tls: TlsConfig | undefined
  /** The variables that configure it, for the fixes. */
  readonly settings: { readonly address: string; readonly tls: string }
}

const CONNECT_TIMEOUT_MS = 5_000
const EXPIRES_SOON_MS = 14 * 86_400_000

/** Checks DNS, TCP, and TLS if it is configured. */
export async function probeAddress(target: ProbeTarget, nowMs: number): Promise<AddressProbe> {
  const { area, host, port, settings, tls } = target
  const where = `${host}:${port}`
  const findings: Finding[] = []
  const add = (finding: Omit<Finding, 'area'>) => void findings.push({ area, ...finding })
  const failed = (check: string, detail: string, fix: string): AddressProbe => {
    add({ check: `${check} ${where}`, verdict: 'failed', detail, fix })
    return { findings, isReached: false }
  }

  if (isIP(host) === 0) {
    try {
      const addresses = await lookup(host, { all: true })
      add({
        check: `name ${host}`,
        verdict: 'ok',
        detail: addresses.map(({ address }) => address).join(', '),
      })
    } catch (error) {
      const fix = `Correct the name in ${settings.address}, or fix DNS (in Docker, check that both are on the same network).`
      return failed('name', `${host} can't be resolved (${codeOf(error)})`, fix)
    }
  }
  let socket: Socket
  try {
    socket = await openSocket(connectTcp({ host, port }), 'connect')
    add({ check: `connection ${where}`, verdict: 'ok', detail: 'accepts connections' })
  } catch (error) {
    const fix = `Check that the server is running, check ${settings.address}, and check for a firewall in between.`
    return failed('connection', `can't connect (${codeOf(error)})`, fix)
  }
  if (tls === undefined) {
    socket.destroy()
    return { findings, isReached: true }
  }
  try {
    const secure = await openSocket(connectTls({ socket, ...tlsOptions(tls, host) }), 'secureConnect')
    add(judgeCertificate(secure, where, nowMs))
    secure.destroy()
    return { findings, isReached: true }
  } catch (error) {
    socket.destroy()
    const fix = `Check ${settings.tls}_CA_FILE, the name in the server's certificate, and that the port uses TLS.`
    return failed('TLS', messageOf(error), fix)
  }
}

function judgeCertificate(socket: TLSSocket, where: string, nowMs: number): Omit<Finding, 'area'> {
  const check = `TLS ${where}`
  const { valid_to: validTo } = socket.getPeerCertificate()
  const remainingMs = Date.parse(validTo) - nowMs
  const protocol = socket.getProtocol() ?? 'TLS'
  if (Number.isNaN(remainingMs) || remainingMs > EXPIRES_SOON_MS)
    return { check, verdict: 'ok', detail: protocol }
  return {
    check,
    verdict: 'warning',
    detail: `the server's certificate expires on ${validTo}`,
    fix: 'Renew the certificate.',
  }
}

function tlsOptions({ ca, cert, key, rejectUnauthorized }: TlsConfig, host: string) {
  return {
    rejectUnauthorized,
    ...(isIP(host) === 0 ? { servername: host } : { host }),
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  }
}

/** Rejects with the error of the socket, or after a timeout. */
async function openSocket<Opened extends Socket>(socket: Opened, event: string): Promise<Opened> {
  const timeout = AbortSignal.timeout(CONNECT_TIMEOUT_MS)
  try {
    await once(socket, event, { signal: timeout })
    // Later errors do not matter.
    socket.on('error', () => undefined)
    return socket
  } catch (error) {
    socket.on('error', () => undefined)
    socket.destroy()
    if (timeout.aborted) throw new Error(`no answer within ${CONNECT_TIMEOUT_MS / 1000} s`, { cause: error })
    throw error
  }
}

/** Tries to listen on an address. @returns the error code; undefined if it succeeds. */
export async function findListenError(host: string, port: number): Promise<string | undefined> {
  const server = createServer()
  try {
    server.listen({ host, port, exclusive: true })
    await once(server, 'listening')
    return undefined
  } catch (error) {
    return codeOf(error)
  } finally {
    server.close()
  }
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  return error instanceof Error && 'code' in error ? String(error.code) : messageOf(error)
}
