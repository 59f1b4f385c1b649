/** The exit codes of cache-cli: part of its contract, and documented in docs/cli.md. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  unreachable: 4,
  refused: 5,
  invalid: 6,
  interrupted: 130,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** For `--help`. */
export const EXIT_CODES_TEXT = `Exit codes:
  0    success
  1    failure
  2    usage error, or invalid setting
  3    not found (what was found is printed)
  4    Redis, Kafka or the API can't be reached
  5    refused: not authorized, not confirmed, or locked by another process
  6    explain: a record is invalid
  130  interrupted (Ctrl-C)`
