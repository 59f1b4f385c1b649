/**
 * Every problem (RFC 9457) that the API can send, by its `type`. The server builds its error responses from this table,
 * the client compares types with it, and the OpenAPI document and docs/problems.md are generated from it.
 *
 * A `type` is a contract: programs switch on it. Titles, details and `when` are for people and may change.
 */

type ProblemEntry = {
  readonly status: number
  readonly title: string
  /** When the API sends it, for the OpenAPI document and docs/problems.md. */
  readonly when: string
  /** For occurrences that have no detail of their own. */
  readonly detail?: string
  /** Seconds, sent as Retry-After. */
  readonly retryAfterS?: number
  /** Any route can send it, so routes do not declare it. */
  readonly onAnyRoute?: true
}

export const PROBLEMS = {
  bad_request: {
    status: 400,
    title: 'Bad request',
    when: 'The request is not valid HTTP, its path or query is malformed, or its body is empty or not JSON.',
    onAnyRoute: true,
  },
  invalid_request: {
    status: 400,
    title: 'Invalid request',
    when: 'A parameter or the body does not match the schema; `errors` lists each mismatch.',
  },
  invalid_cursor: {
    status: 400,
    title: 'Invalid cursor',
    when: '`cursor` is not the `next_cursor` of an earlier page.',
    detail: 'Start again without a cursor.',
  },
  invalid_device_id: {
    status: 400,
    title: 'Invalid device id',
    when: 'In the `errors` of a lookup: no device can have this id.',
    detail: 'It must be 1 to 256 bytes of UTF-8 without control characters.',
  },
  unauthorized: {
    status: 401,
    title: 'Unauthorized',
    when: 'The route needs a token, and the request has none, or one that is unknown or expired.',
    onAnyRoute: true,
  },
  insufficient_scope: {
    status: 403,
    title: 'Insufficient scope',
    when: 'The token is valid but lacks the scope that the route needs.',
    onAnyRoute: true,
  },
  host_not_allowed: {
    status: 403,
    title: 'Host not allowed',
    when: 'Tokens are off, and `Host` is neither a loopback name, `API_HOST` nor one of `API_ALLOWED_HOSTS`.',
    detail: 'Add the host to API_ALLOWED_HOSTS, or require tokens with API_AUTH=token.',
    onAnyRoute: true,
  },
  not_found: {
    status: 404,
    title: 'Not found',
    when: 'There is no such route, device or state type.',
  },
  method_not_allowed: {
    status: 405,
    title: 'Method not allowed',
    when: 'The path exists, but not for this method; `Allow` lists the methods it has.',
    onAnyRoute: true,
  },
  request_timeout: {
    status: 408,
    title: 'Request timeout',
    when: 'The request did not arrive completely within 15 seconds.',
    onAnyRoute: true,
  },
  too_many_devices: {
    status: 409,
    title: 'Too many devices',
    when: 'An export is not possible, because the cache holds more devices than `API_SEARCH_MAX_DEVICES`.',
    detail: 'Raise API_SEARCH_MAX_DEVICES, or list the devices page by page with GET /api/devices.',
  },
  body_too_large: {
    status: 413,
    title: 'Body too large',
    when: 'The body is larger than 256 KiB.',
    onAnyRoute: true,
  },
  uri_too_long: {
    status: 414,
    title: 'URI too long',
    when: 'A path segment is longer than 1024 characters.',
    onAnyRoute: true,
  },
  unsupported_media_type: {
    status: 415,
    title: 'Unsupported media type',
    when: 'The body is not declared as JSON.',
    detail: 'Send Content-Type: application/json.',
    onAnyRoute: true,
  },
  too_many_requests: {
    status: 429,
    title: 'Too many requests',
    when: 'The caller has used up its `API_RATE_LIMIT_PER_MINUTE`; `Retry-After` says when the minute ends.',
    onAnyRoute: true,
  },
  headers_too_large: {
    status: 431,
    title: 'Headers too large',
    when: 'The request headers are larger than 16 KiB.',
    onAnyRoute: true,
  },
  internal_error: {
    status: 500,
    title: 'Internal error',
    when: 'A bug in this service; its log has the stack trace.',
    onAnyRoute: true,
  },
  corrupt_device: {
    status: 500,
    title: 'Corrupt device',
    when: 'Another program has corrupted what Redis holds for the device; the next record of the device repairs it.',
  },
  cache_rebuilding: {
    status: 503,
    title: 'Cache rebuilding',
    when: 'The device is missing, but the cache is being filled, or has yet to be, and the device may still appear.',
    detail: 'The device is not in the cache yet, but the rebuild in progress may still restore it.',
    retryAfterS: 5,
  },
  redis_unavailable: {
    status: 503,
    title: 'Redis unavailable',
    when: 'Redis did not answer, or answered with an error.',
    retryAfterS: 1,
    onAnyRoute: true,
  },
  overloaded: {
    status: 503,
    title: 'Overloaded',
    when: '`API_MAX_CONCURRENT_REQUESTS` requests are already in progress.',
    retryAfterS: 1,
    onAnyRoute: true,
  },
  too_many_searches: {
    status: 503,
    title: 'Too many searches',
    when: 'The API process already has 32 searches, or 2 exports, in progress.',
    retryAfterS: 2,
  },
  too_many_streams: {
    status: 503,
    title: 'Too many event streams',
    when: '`API_MAX_EVENT_CLIENTS` event streams are already open.',
    retryAfterS: 2,
  },
} as const satisfies Record<string, ProblemEntry>

export type ProblemType = keyof typeof PROBLEMS

export const PROBLEM_TYPES = Object.keys(PROBLEMS).filter(isProblemType)

function isProblemType(type: string): type is ProblemType {
  return Object.hasOwn(PROBLEMS, type)
}

/** The same table for code that treats all entries alike. */
export function problemEntry(type: ProblemType): ProblemEntry {
  return PROBLEMS[type]
}
