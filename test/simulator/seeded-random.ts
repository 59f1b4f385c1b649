export type SeededRandom = {
  /** A fraction in [0, 1). */
  fraction(): number
  /** An integer in [0, limit). */
  below(limit: number): number
  /** True in `percent` of all draws. */
  percent(percent: number): boolean
  pick<Item>(items: readonly Item[]): Item
  /** A version 4 UUID. */
  uuid(): string
}

/** mulberry32: 32 bits of state, the same sequence for the same seed everywhere. */
export function createSeededRandom(seed: number): SeededRandom {
  let state = seed >>> 0

  function word(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  function fraction(): number {
    return word() / 0x1_0000_0000
  }
  function below(limit: number): number {
    return Math.floor(fraction() * limit)
  }
  return {
    fraction,
    below,
    percent: (percent) => fraction() * 100 < percent,
    pick(items) {
      const item = items[below(items.length)]
      if (item === undefined) throw new RangeError('nothing to pick from')
      return item
    },
    uuid() {
      const hex = [word(), word(), word(), word()].map((part) => part.toString(16).padStart(8, '0')).join('')
      const variant = ((parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16)
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`
    },
  }
}
