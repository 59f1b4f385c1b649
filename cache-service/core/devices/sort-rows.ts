const RUN = 512
const STEPS_PER_SLICE = 4096

/**
 * A stable merge sort that can be interrupted: it yields several times per millisecond, because sorting a million rows at
 * once would block the process for seconds.
 *
 * @param rows is sorted in place, or used as the scratch space of the result.
 */
export function* sortRows(
  rows: Uint32Array,
  compare: (a: number, b: number) => number,
): Generator<void, Uint32Array> {
  for (let from = 0; from < rows.length; from += RUN) {
    rows.subarray(from, from + RUN).sort(compare)
    yield
  }
  let source = rows
  let target: Uint32Array = new Uint32Array(rows.length > RUN ? rows.length : 0)
  for (let width = RUN; width < rows.length; width *= 2) {
    for (let from = 0; from < rows.length; from += 2 * width) {
      yield* merge(source, target, { from, middle: from + width, to: from + 2 * width }, compare)
    }
    ;[source, target] = [target, source]
  }
  return source
}

function* merge(
  source: Uint32Array,
  target: Uint32Array,
  bounds: { readonly from: number; readonly middle: number; readonly to: number },
  compare: (a: number, b: number) => number,
): Generator<void, void> {
  const middle = Math.min(bounds.middle, source.length)
  const to = Math.min(bounds.to, source.length)
  let left = bounds.from
  let right = middle
  for (let at = bounds.from; at < to; at++) {
    const a = source[left] ?? 0
    const b = source[right] ?? 0
    const takesLeft = right >= to || (left < middle && compare(a, b) <= 0)
    target[at] = takesLeft ? a : b
    if (takesLeft) left++
    else right++
    if (at % STEPS_PER_SLICE === 0) yield
  }
}
