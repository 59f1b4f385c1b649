/** A measurement over time. */
export type Point = { readonly seconds: number; readonly value: number }

export type Allowance = {
  /** Growth that never counts, in the unit of the values. */
  readonly absolute: number
  /** Growth that never counts, as a share of the median. */
  readonly share: number
}

export type Flatness =
  | {
      readonly kind: 'flat' | 'grows'
      readonly growth: number
      readonly allowed: number
      readonly median: number
    }
  | { readonly kind: 'too_few'; readonly points: number }

const FEWEST_POINTS = 6

/**
 * Whether the values grow in the second half of the time: by the median of the slopes between all pairs of points, which a
 * few outliers do not change (Theil–Sen).
 *
 * @param from the beginning of the second half; earlier points are ignored.
 */
export function judgeFlatness(points: readonly Point[], from: number, allowance: Allowance): Flatness {
  const late = points.filter(({ seconds }) => seconds >= from)
  if (late.length < FEWEST_POINTS) return { kind: 'too_few', points: late.length }
  const slopes = late.flatMap((a, i) =>
    late
      .slice(i + 1)
      .flatMap((b) => (b.seconds > a.seconds ? [(b.value - a.value) / (b.seconds - a.seconds)] : [])),
  )
  const duration = (late.at(-1)?.seconds ?? 0) - (late[0]?.seconds ?? 0)
  const growth = median(slopes) * duration
  const typical = median(late.map(({ value }) => value))
  const allowed = Math.max(allowance.absolute, allowance.share * typical)
  return { kind: growth > allowed ? 'grows' : 'flat', growth, allowed, median: typical }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2
}
