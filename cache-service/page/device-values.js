import { span } from './time.js'

export function expiry(ttl, fetchedMs, nowMs) {
  if (ttl === null || ttl === undefined) return 'never'
  const left = ttl - (nowMs - fetchedMs) / 1000
  return left <= 0 ? 'expired' : span(left)
}

export function text(value) {
  if (value === null || value === undefined || value === '') return '–'
  if (Array.isArray(value)) return value.map((part) => text(part)).join(', ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}
