import { readFileSync } from 'node:fs'

/** Shorter passwords of tests are words that a log may contain for other reasons. */
const MIN_LENGTH = 8

const remembered = new Set<string>()

type Environment = Readonly<Record<string, string | undefined>>

/** From now on, no process that a test of this file starts may print it. */
export function rememberSecret(secret: string): void {
  if (secret.length >= MIN_LENGTH) remembered.add(secret)
}

/**
 * Throws if a log contains a password of the process's own settings (also one that it reads from a file), or a token that the
 * test has created. Every helper that runs a part of the service checks its output with this.
 */
export function assertNoSecrets(name: string, output: string, env: Environment): void {
  const leaked = [...remembered, ...secretsOf(env)].find((secret) => output.includes(secret))
  if (leaked === undefined) return
  const line = output.split('\n').find((text) => text.includes(leaked))
  throw new Error(`${name} has printed the secret ${JSON.stringify(leaked)}: ${line}`)
}

export function secretsOf(env: Environment): string[] {
  return Object.entries(env)
    .flatMap(([name, value = '']) => {
      if (name.endsWith('PASSWORD')) return [value]
      if (/(PASSWORD|API_TOKEN)_FILE$/.test(name)) return [textOf(value).trim()]
      return passwordsInUrls(value)
    })
    .filter((secret) => secret.length >= MIN_LENGTH)
}

/** As they are written in a URL, and decoded. */
function passwordsInUrls(text: string): string[] {
  return [...text.matchAll(/:\/\/[^\s:@/]*:([^\s@]+)@/g)].flatMap(([, password = '']) => {
    try {
      return [password, decodeURIComponent(password)]
    } catch {
      return [password]
    }
  })
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
