declare const deviceIdBrand: unique symbol

/** 1–256 bytes of well-formed UTF-8 without control characters. May contain `:`. */
export type DeviceId = string & { readonly [deviceIdBrand]: true }

export const DEVICE_ID_MAX_BYTES = 256

const PRINTABLE_ASCII = /^[\x20-\x7e]{1,256}$/
const CONTROL_CHARACTER = /\p{Cc}/u
const encoder = new TextEncoder()

export function isDeviceId(text: string): text is DeviceId {
  if (PRINTABLE_ASCII.test(text)) return true
  return (
    text.length > 0 &&
    text.length <= DEVICE_ID_MAX_BYTES &&
    text.isWellFormed() &&
    !CONTROL_CHARACTER.test(text) &&
    encoder.encode(text).length <= DEVICE_ID_MAX_BYTES
  )
}

/** The id as a branded string; undefined: the text is not a valid id. */
export function parseDeviceId(text: string): DeviceId | undefined {
  return isDeviceId(text) ? text : undefined
}
