import { JsonOutline } from './json-outline.ts'
import { usageError } from '../cli-error.ts'

/** A record of a file, exactly as it would be in Kafka. */
export type FileRecord = {
  /** Number of its first line, from 1. */
  readonly line: number
  readonly value: Buffer
  /** What the person who made the file should know. */
  readonly hint: string | undefined
}

/** Far above MAX_RECORD_BYTES, so that records that are too large can be explained. */
const MAX_BYTES = 64 * 1024 * 1024
const NEWLINE = 0x0a
const CARRIAGE_RETURN = 0x0d
const BLANK = [0x20, 0x09, CARRIAGE_RETURN]

/**
 * Splits a file into records: one per line, except that a JSON object or list may continue over several lines. A record
 * that is not valid JSON is a record as well, because finding out why is the purpose of `explain`. After such a record,
 * the next one begins with the next line that begins with a bracket.
 *
 * @throws CliError (usage) for a record of more than 64 MiB.
 */
export async function* splitRecords(bytes: AsyncIterable<Buffer>): AsyncGenerator<FileRecord> {
  let pending: PendingRecord | undefined
  let line = 0
  for await (const text of linesOf(bytes)) {
    line++
    if (pending !== undefined && pending.append(text)) {
      if (!pending.continues) {
        yield pending.finish()
        pending = undefined
      }
      continue
    }
    if (pending !== undefined) yield pending.finish()
    pending = undefined
    if (text.every((byte) => BLANK.includes(byte))) continue
    const started: PendingRecord = new PendingRecord(line, text)
    if (started.continues) pending = started
    else yield started.finish()
  }
  if (pending !== undefined) yield pending.finish()
}

class PendingRecord {
  readonly #line: number
  readonly #lines: Buffer[]
  readonly #outline = new JsonOutline()
  #bytes: number
  #isBroken = false

  constructor(line: number, text: Buffer) {
    this.#line = line
    this.#lines = [text]
    this.#bytes = text.length
    this.#outline.read(text)
  }

  /** Whether the next line belongs to it, as far as can be known. */
  get continues(): boolean {
    return this.#isBroken || this.#outline.isOpen
  }

  /** @returns false if the line begins another record. */
  append(text: Buffer): boolean {
    const isFresh = text[0] === 0x7b || text[0] === 0x5b
    if (!this.#isBroken) this.#outline.read(text)
    const isWrong = this.#isBroken || this.#outline.isWrong
    if (isWrong && isFresh) return false
    this.#isBroken = isWrong
    this.#lines.push(text)
    this.#bytes += text.length + 1
    if (this.#bytes > MAX_BYTES) throw tooLarge()
    return true
  }

  finish(): FileRecord {
    const joined = this.#lines.flatMap((text, i) => (i === 0 ? [text] : [Buffer.from('\n'), text]))
    const value = Buffer.concat(joined)
    const end = value.at(-1) === CARRIAGE_RETURN ? value.length - 1 : value.length
    return { line: this.#line, value: value.subarray(0, end), hint: this.#hint(value) }
  }

  #hint(value: Buffer): string | undefined {
    const [first, second] = value
    if (value.subarray(0, 3).equals(Buffer.from('\uFEFF'))) {
      return 'it begins with a byte order mark: remove it, unless it is part of the record in Kafka'
    }
    if (
      first === 0 ||
      second === 0 ||
      (first === 0xff && second === 0xfe) ||
      (first === 0xfe && second === 0xff)
    ) {
      return 'it is UTF-16: convert the file (iconv -f UTF-16 -t UTF-8), unless the record is UTF-16 in Kafka as well'
    }
    if (this.#outline.isFollowed) {
      return 'several JSON values are in one line: separate them (jq -c .), unless they are one record in Kafka as well'
    }
    if (this.#outline.isList && this.#outline.isComplete) {
      return `it is a list, but a record is an object: to explain what it contains, split it (jq -c '.[]')`
    }
    return undefined
  }
}

function tooLarge() {
  return usageError('the input has a record of more than 64 MiB: check that the file contains records')
}

async function* linesOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of bytes) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      yield Buffer.concat([...parts, chunk.subarray(from, end)])
      parts = []
      size = 0
      from = end + 1
    }
    if (from === chunk.length) continue
    parts.push(chunk.subarray(from))
    size += chunk.length - from
    if (size > MAX_BYTES) throw tooLarge()
  }
  if (parts.length > 0) yield Buffer.concat(parts)
}
