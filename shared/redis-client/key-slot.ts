/** Of a Redis Cluster. Each key belongs to one. */
export const SLOT_COUNT = 16_384

const utf8 = new TextEncoder()

/** The slot of a key: of the text in its first { }, if there is any, or else of the whole key. */
export function keySlot(key: string): number {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  return crc16(close > open + 1 ? key.slice(open + 1, close) : key) % SLOT_COUNT
}

const CRC_OF_BYTE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1
  return crc
})

/** CRC16-CCITT (XMODEM), as the specification of Redis Cluster defines it. */
function crc16(text: string): number {
  let crc = 0
  for (const byte of utf8.encode(text)) crc = ((crc << 8) & 0xffff) ^ (CRC_OF_BYTE[(crc >> 8) ^ byte] ?? 0)
  return crc
}
