type PartitionsText = `partition ${string}` | `partitions ${string}`

/** `partition 0`, or `partitions 0, 1, 2`, ascending. */
export function partitionsText(partitions: readonly number[]): PartitionsText {
  const numbers = partitions.toSorted((a, b) => a - b).join(', ')
  return partitions.length === 1 ? `partition ${numbers}` : `partitions ${numbers}`
}
