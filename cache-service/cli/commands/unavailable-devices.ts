/** `3 devices can't be read: …`. @param reasons without repetitions. */
export function unavailableText(count: number, reasons: ReadonlySet<string>): string {
  return `${count} ${count === 1 ? 'device' : 'devices'} can't be read: ${[...reasons].join('; ')}`
}
