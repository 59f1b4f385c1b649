/** Both are needed: the wall clock can be set back or forward while the process runs. */
export type Clocks = {
  /** Milliseconds since 1970, for dates and times that others read. Never for an interval. */
  readonly now: () => number
  /** Milliseconds of a clock that never goes back, for every interval: ages, timeouts, rates, limits. */
  readonly monotonicNow: () => number
}
