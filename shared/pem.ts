import { createPrivateKey, X509Certificate } from 'node:crypto'

// What is wrong with the text of a PEM file, as a predicate of the setting that names the file; undefined: nothing. Nothing
// of the text is quoted, because a key is secret. Without these checks, a wrong file looks like a server that can't be reached.

const CERTIFICATE = /-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----[^-]+-----END \1-----/g
const PRIVATE_KEY = /-----BEGIN ((?:[A-Z]+ )?PRIVATE KEY)-----[^]+?-----END \1-----/

export function certificatesProblem(text: string): string | undefined {
  const found = text.match(CERTIFICATE) ?? []
  if (found.length === 0) return 'must name a PEM file with a certificate'
  for (const [i, certificate] of found.entries()) {
    try {
      void new X509Certificate(certificate)
    } catch {
      return `must name a PEM file with certificates; number ${i + 1} in it is damaged`
    }
  }
  return undefined
}

export function privateKeyProblem(text: string): string | undefined {
  const [key = ''] = PRIVATE_KEY.exec(text) ?? []
  if (key === '') return 'must name a PEM file with a private key'
  if (key.includes('ENCRYPTED'))
    return 'must name a private key without a passphrase; decrypt it with: openssl pkey -in encrypted.pem -out key.pem'
  try {
    createPrivateKey(key)
    return undefined
  } catch {
    return 'must name a PEM file with a private key; the one in it is damaged, or has a format that TLS does not use'
  }
}

/** Whether the private key belongs to the first certificate, which is the one that is presented. Both must be valid. */
export function isKeyOf(certificates: string, key: string): boolean {
  const [certificate = ''] = certificates.match(CERTIFICATE) ?? []
  const [privateKey = ''] = PRIVATE_KEY.exec(key) ?? []
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey))
}
