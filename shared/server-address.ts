/** The address of a server. An IPv6 address has no [ ]. */
export type ServerAddress = Readonly<{ host: string; port: number }>

/** Of Redis Sentinel. */
export const DEFAULT_SENTINEL_PORT = 26_379

/**
 * Reads `host:port`, or a comma-separated list of them.
 *
 * @param defaultPort of an address without one.
 * @returns the addresses, or what the text must be.
 */
export function parseServerAddresses(
  text: string,
  defaultPort: number,
): ServerAddress[] | { readonly problem: string } {
  const addresses: ServerAddress[] = []
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue
    const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(part)
    const port = Number(match?.[2] ?? defaultPort)
    if (match?.[1] === undefined || port < 1 || port > 65_535)
      return { problem: 'must be host:port, or a comma-separated list of them' }
    addresses.push({ host: withoutBrackets(match[1]), port })
  }
  return addresses.length > 0 ? addresses : { problem: 'must name at least one host:port' }
}

/** As in a URL or a list: an IPv6 address in [ ]. */
export function serverAddressText({ host, port }: ServerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Of an IPv6 address. */
export function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1')
}
