import { once } from 'node:events'
import { lookup } from 'node:dns/promises'
import { connect as connectTcp, createServer, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { kindOfTlsFailure, messageOf } from '../../../../shared/errors.ts'
import type { TlsConfig } from '../../../config/config.ts'
import type { Finding } from '../../../core/doctor.ts'
import { systemCodeOf } from '../../terminal/system-code.ts'

/** The steps of connecting to a server, up to the first one that fails. */
export type AddressProbe = { readonly findings: readonly Finding[]; readonly isReached: boolean }

export type ProbeTarget = {
  readonly area: 'kafka' | 'redis'
  readonly host: string
  readonly port: number
  readonly tls: TlsConfig | undefined
  /** The variables that configure it, for the fixes. */
  readonly settings: { readonly address: string; readonly tls: string }
  /** Whether the server answers without TLS, on this new connection. */
  readonly answersPlainly: (socket: Socket) => Promise<boolean>
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
    const isPlain = await onSocket(connectTcp({ host, port }), 'connect', target.answersPlainly)
    return isPlain === true
      ? failed('TLS', 'the server answers without TLS', `Unset ${settings.tls}, or enable TLS on the server.`)
      : failed('TLS', messageOf(error), tlsFix(error, settings))
  }
}

const VERIFICATION_FIXES: Readonly<Record<string, (settings: ProbeTarget['settings']) => string>> = {
  CERT_HAS_EXPIRED: () => 'Renew the certificate of the server.',
  CERT_NOT_YET_VALID: () => 'Check the clocks of this machine and of the one that issued the certificate.',
  ERR_TLS_CERT_ALTNAME_INVALID: ({ address }) =>
    `Use a name that is in the certificate in ${address}, or issue a certificate with this name.`,
}

function tlsFix(error: unknown, settings: ProbeTarget['settings']): string {
  const known = VERIFICATION_FIXES[codeOf(error)]
  if (known !== undefined) return known(settings)
  return kindOfTlsFailure(messageOf(error)) === 'CERTIFICATE'
    ? `Set ${settings.tls}_CA_FILE to the certificate of the authority that signed the server's certificate.`
    : `Check that the port uses TLS, and whether the server requires a client certificate (${settings.tls}_CERT_FILE).`
}

/** Whether a server on this port completes a TLS handshake, with whatever certificate. */
export async function speaksTls(host: string, port: number): Promise<boolean> {
  const socket = connectTls({ host, port, rejectUnauthorized: false })
  return (await onSocket(socket, 'secureConnect', async () => true)) === true
}

/** Opens a socket, and destroys it afterwards. @returns undefined if it can't be opened. */
export async function onSocket<Result>(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  use: (socket: Socket) => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await use(await openSocket(socket, event))
  } catch {
    return undefined
  } finally {
    socket.destroy()
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

export function tlsOptions({ ca, cert, key, rejectUnauthorized }: TlsConfig, host: string) {
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
  return systemCodeOf(error) || messageOf(error)
}
