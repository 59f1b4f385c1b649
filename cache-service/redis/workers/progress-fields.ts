/** The fields of a progress hash (see progressKey). Offsets are decimal numbers. */
export const progressFields = {
  next: (partition: number) => String(partition),
  rebuildUntil: (partition: number) => `${partition}:until`,
  requested: (partition: number) => `${partition}:requested`,
  /** Only in the copies of a Cluster. */
  claim: (partition: number) => `${partition}:slots`,
}

export function parseOffset(text: string | null | undefined): number | undefined {
  return text !== null && text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined
}

export function offsetText(offset: number | undefined): string {
  return offset === undefined ? '' : String(offset)
}
