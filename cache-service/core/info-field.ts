/** The value of a field in the reply of INFO; undefined: this server does not report it. */
export function infoField(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1]
}

/** Valkey also reports the version of Redis with which it is compatible. */
export function serverProduct(info: string): {
  readonly product: 'redis' | 'valkey'
  readonly version: string
} {
  const version = infoField(info, 'valkey_version') || infoField(info, 'redis_version') || 'unknown'
  return { product: infoField(info, 'server_name') === 'valkey' ? 'valkey' : 'redis', version }
}
