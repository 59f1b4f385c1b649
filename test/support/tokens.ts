import { createHash, randomBytes } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { rememberSecret } from './processes/secrets.ts'
import { folderOfTest } from './temporary-folder.ts'

export type TokenEntry = Readonly<Record<string, unknown>>

export function newToken(): string {
  return randomBytes(32).toString('base64url')
}

/** An entry of API_TOKENS_FILE. By default it has the scope `read`, and does not expire. No log may show the token. */
export function tokenEntry(
  name: string,
  token: string,
  more: { readonly scopes?: readonly string[]; readonly expires?: string } = {},
): TokenEntry {
  rememberSecret(token)
  return { name, sha256: createHash('sha256').update(token).digest('hex'), scopes: ['read'], ...more }
}

/** Replaces the file atomically, as a mounted secret is replaced; by a text, if the file is meant to be invalid. */
export async function writeTokens(path: string, entries: readonly TokenEntry[] | string): Promise<void> {
  await writeFile(`${path}.new`, typeof entries === 'string' ? entries : JSON.stringify(entries))
  await rename(`${path}.new`, path)
}

/** The settings of an API that requires one of these tokens. The file is removed when the test ends. */
export async function requireTokens(
  entries: readonly TokenEntry[],
): Promise<{ API_AUTH: 'token'; API_TOKENS_FILE: string }> {
  const path = join(folderOfTest(), 'tokens.json')
  await writeTokens(path, entries)
  return { API_AUTH: 'token', API_TOKENS_FILE: path }
}
