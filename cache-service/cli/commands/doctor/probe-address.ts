import { once } from 'node:events'
import { lookup } from 'node:dns/promises'
import { connect as connectTcp, createServer, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { messageOf } from '../../../../shared/errors.ts'
import type { TlsConfig } from '../../../config/config.ts'
import type { Finding } from '../../../core/doctor.ts'

/** The steps on the way to a server, up to the first that fails. */
export type AddressProbe = { readonly findings: readonly Finding[]; readonly isReached: boolean }

export type ProbeTarget = {
  readonly area: 'kafka' | 'redis'
  readonly host: string
  readonly port: number
  readonly tls: TlsConfig | undefined
  /** The variables that name it, for the fixes. */
  readonly settings: { readonly address: string; readonly tls: string }
}

const CONNECT_WITHIN_MS = 5_000
const EXPIRES_SOON_MS = 14 * 86_400_000

/** DNS, TCP, and TLS if it is configured. */
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
      const fix = `Correct the name in ${settings.address}, or the DNS (in Docker: is it on the same network?).`
      return failed('name', `${host} has no address (${codeOf(error)})`, fix)
    }
  }
  let socket: Socket
  try {
    socket = await openSocket(connectTcp({ host, port }), 'connect')
    add({ check: `connection ${where}`, verdict: 'ok', detail: 'it takes connections' })
  } catch (error) {
    const fix = `Is it running, on that port (${settings.address}), and no firewall between?`
    return failed('connection', `nothing answers (${codeOf(error)})`, fix)
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
    const fix = `Check ${settings.tls}_CA_FILE, and the name in the server's certificate; is TLS spoken on that port at all?`
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
    detail: `the server's certificate ends on ${validTo}`,
    fix: 'Renew it.',
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

/** Rejects with what the socket says, or a timeout. */
async function openSocket<Opened extends Socket>(socket: Opened, event: string): Promise<Opened> {
  const timeout = AbortSignal.timeout(CONNECT_WITHIN_MS)
  try {
    await once(socket, event, { signal: timeout })
    // What comes later is nobody's business.
    socket.on('error', () => undefined)
    return socket
  } catch (error) {
    socket.on('error', () => undefined)
    socket.destroy()
    if (timeout.aborted) throw new Error(`no answer within ${CONNECT_WITHIN_MS / 1000} s`, { cause: error })
    throw error
  }
}

/** Can our own server listen there? undefined: yes. */
export async function whyNotListen(host: string, port: number): Promise<string | undefined> {
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
