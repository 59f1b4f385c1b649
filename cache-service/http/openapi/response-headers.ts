const text = { type: 'string' } as const
const count = { type: 'integer', minimum: 0 } as const

/** The response headers of the OpenAPI document. */
export const RESPONSE_HEADERS = {
  ETag: {
    description: 'Identifies the content of the device, without its `ttl`. Send it back as `If-None-Match`.',
    schema: text,
    example: 'W/"kGzDqTNMtxXoqT4GHZzz8yPCE1k"',
  },
  Allow: { description: 'The methods of the path.', schema: text, example: 'DELETE, GET, HEAD' },
  'WWW-Authenticate': {
    description:
      'The challenge of RFC 6750: what is wrong with the token, and the scope that the operation needs.',
    schema: text,
    example: 'Bearer error="insufficient_scope", scope="write"',
  },
  'Retry-After': { description: 'Seconds to wait before the next attempt.', schema: count, example: 1 },
  'X-RateLimit-Limit': { description: 'Requests per minute of this caller.', schema: count, example: 600 },
  'X-RateLimit-Remaining': {
    description: 'Requests that are left in the current minute.',
    schema: count,
    example: 0,
  },
  'X-RateLimit-Reset': { description: 'Seconds until the minute ends.', schema: count, example: 12 },
} as const

export type ResponseHeaderName = keyof typeof RESPONSE_HEADERS
