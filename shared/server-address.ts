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

/** Of Redis. */
export const DEFAULT_REDIS_PORT = 6379

/** Where the nodes of a Redis Cluster can be reached, by the address that they announce to each other, `host:port`. */
export type NatMap = Readonly<Record<string, ServerAddress>>

/**
 * Reads `announced-host:port=reachable-host:port`, or a comma-separated list of them.
 *
 * @returns the map, or what the text must be.
 */
export function parseNatMap(text: string): { readonly natMap: NatMap } | { readonly problem: string } {
  const natMap: Record<string, ServerAddress> = {}
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue
    const [announced, reachable] = part.split('=').map((side) => parseServerAddresses(side, 0))
    if (!Array.isArray(announced) || !Array.isArray(reachable) || part.split('=').length !== 2)
      return { problem: NAT_MAP_PROBLEM }
    const [[from], [to]] = [announced, reachable]
    if (from === undefined || to === undefined) return { problem: NAT_MAP_PROBLEM }
    // As ioredis looks it up: the host without brackets.
    const announcedName = `${from.host}:${from.port}`
    const isReachedByAnother = Object.values(natMap).some(
      (one) => one.host === to.host && one.port === to.port,
    )
    if (announcedName in natMap || isReachedByAnother) return { problem: NAT_MAP_AMBIGUOUS }
    natMap[announcedName] = to
  }
  return Object.keys(natMap).length > 0 ? { natMap } : { problem: NAT_MAP_PROBLEM }
}

const NAT_MAP_PROBLEM = 'must be announced-host:port=reachable-host:port, or a comma-separated list of them'
const NAT_MAP_AMBIGUOUS = 'must name each announced address and each reachable address once'

/** As in a URL or a list: an IPv6 address in [ ]. */
export function serverAddressText({ host, port }: ServerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Of an IPv6 address. */
export function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1')
}
