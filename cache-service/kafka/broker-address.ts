export type BrokerAddress = { readonly host: string; readonly port: number }

/** @param text `host:port`; an IPv6 address may be in brackets, which the result lacks. */
export function brokerAddress(text: string): BrokerAddress {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(colon + 1)) }
}
