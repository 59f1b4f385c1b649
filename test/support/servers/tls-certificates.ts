import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export type TlsFiles = {
  /** PEM texts, for clients. */
  ca: string
  clientCertificate: string
  clientKey: string
  /** Paths of PEM files, for servers. */
  caPath: string
  serverCertificatePath: string
  serverKeyPath: string
}

/** Creates a CA, a server certificate for 127.0.0.1 and localhost, and a client certificate. */
export async function createTlsFiles(folder: string): Promise<TlsFiles> {
  const path = (name: string) => join(folder, name)
  await createCa(path)
  await createCertificate(path, 'server', 'subjectAltName=IP:127.0.0.1,DNS:localhost')
  await createCertificate(path, 'client', 'extendedKeyUsage=clientAuth')
  return {
    ca: readFileSync(path('ca.pem'), 'utf8'),
    clientCertificate: readFileSync(path('client.pem'), 'utf8'),
    clientKey: readFileSync(path('client.key'), 'utf8'),
    caPath: path('ca.pem'),
    serverCertificatePath: path('server.pem'),
    serverKeyPath: path('server.key'),
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

async function createCa(path: (name: string) => string): Promise<void> {
  await openssl(
    ['req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=test authority'],
    ['-keyout', path('ca.key'), '-out', path('ca.pem')],
  )
}

async function createCertificate(path: (name: string) => string, name: string, extension: string) {
  writeFileSync(path(`${name}.ext`), `${extension}\n`)
  await openssl(
    ['req', ...newKey, '-subj', `/CN=${name}`],
    ['-keyout', path(`${name}.key`), '-out', path(`${name}.csr`)],
  )
  await openssl(
    ['x509', '-req', '-in', path(`${name}.csr`), '-days', '2', '-CAcreateserial'],
    ['-CA', path('ca.pem'), '-CAkey', path('ca.key')],
    ['-extfile', path(`${name}.ext`), '-out', path(`${name}.pem`)],
  )
}

async function openssl(...args: string[][]): Promise<void> {
  try {
    await run('openssl', args.flat())
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (isMissing) throw new Error('openssl is not in PATH: run `make install`', { cause: error })
    throw error
  }
}
