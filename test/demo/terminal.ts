import { stripVTControlCharacters } from 'node:util'
import picocolors from 'picocolors'

const isLive = process.stdout.isTTY && process.env['TERM'] !== 'dumb'

export const paint = picocolors.createColors(isLive && !process.env['NO_COLOR'])

let liveLineIsShown = false

/** A line that stays. */
export function print(text = ''): void {
  clearLive()
  process.stdout.write(`${text}\n`)
}

/** On a terminal, a line that the next one replaces; otherwise nothing. */
export function showLive(text: string): void {
  if (!isLive) return
  const width = (process.stdout.columns || 80) - 1
  const plain = stripVTControlCharacters(text)
  clearLive()
  process.stdout.write(plain.length <= width ? text : plain.slice(0, width))
  liveLineIsShown = true
}

export function clearLive(): void {
  if (liveLineIsShown) process.stdout.write('\r\u001B[2K')
  liveLineIsShown = false
}

export function canShowLive(): boolean {
  return isLive
}

export function printDone(what: string, detail: string, startedMs?: number): void {
  const took =
    startedMs === undefined ? '' : paint.dim(`  ${((performance.now() - startedMs) / 1000).toFixed(1)} s`)
  print(`  ${paint.green('✔')} ${what.padEnd(11)} ${detail}${took}`)
}

export function printHeading(text: string): void {
  print()
  print(paint.bold(text))
}

/** Columns as wide as their widest cell; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row, at) => {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
    return `  ${at === 0 ? paint.dim(line) : line}`
  })
}

export function count(amount: number): string {
  return amount.toLocaleString('en-US')
}
