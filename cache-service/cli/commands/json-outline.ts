const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
const OPEN_LIST = 0x5b

/** The last thing that was read, as far as it decides what may follow. */
type Last = 'nothing' | 'opened' | 'comma' | 'colon' | 'value'

/**
 * Follows the brackets and strings of a JSON text line by line, to find out where it ends. It does not check names,
 * numbers and literals.
 */
export class JsonOutline {
  readonly #open: number[] = []
  #last: Last = 'nothing'
  #isList = false
  #isWrong = false
  #isFollowed = false

  /** The text continues in the next line. */
  get isOpen(): boolean {
    return !this.#isWrong && this.#open.length > 0
  }

  /** The text can't be JSON, whatever follows. */
  get isWrong(): boolean {
    return this.#isWrong
  }

  get isComplete(): boolean {
    return !this.#isWrong && this.#open.length === 0 && this.#last === 'value'
  }

  /** After a complete object or list, the text goes on. */
  get isFollowed(): boolean {
    return this.#isFollowed
  }

  get isList(): boolean {
    return this.#isList
  }

  /** @param line without its line break. */
  read(line: Uint8Array): void {
    for (let i = 0; i < line.length && !this.#isWrong;) {
      const byte = line[i] ?? 0
      if (byte === 0x20 || byte === 0x09 || byte === 0x0d) i++
      else if (byte === QUOTE) i = this.#readString(line, i)
      else if (isScalar(byte)) i = this.#readScalar(line, i)
      else {
        this.#readMark(byte)
        i++
      }
    }
  }

  #readMark(byte: number): void {
    switch (byte) {
      case OPEN_OBJECT:
      case OPEN_LIST:
        if (this.#last === 'nothing') this.#isList = byte === OPEN_LIST
        this.#expectValue()
        this.#open.push(byte)
        this.#last = 'opened'
        return
      case 0x7d: // }
      case 0x5d: // ]
        // The closing bracket is two above the opening one.
        if (this.#open.pop() !== byte - 2 || this.#last === 'comma' || this.#last === 'colon')
          this.#isWrong = true
        this.#last = 'value'
        return
      case 0x2c: // ,
        if (this.#last !== 'value' || this.#open.length === 0) this.#isWrong = true
        this.#last = 'comma'
        return
      case 0x3a: // :
        if (this.#last !== 'value' || this.#open.at(-1) !== OPEN_OBJECT) this.#isWrong = true
        this.#last = 'colon'
        return
      default:
        this.#isWrong = true
    }
  }

  #readString(line: Uint8Array, start: number): number {
    // A name, in an object; otherwise a value.
    if (this.#open.at(-1) !== OPEN_OBJECT || this.#last === 'value') this.#expectValue()
    let i = start + 1
    while (i < line.length && line[i] !== QUOTE) i += line[i] === BACKSLASH ? 2 : 1
    // A string never continues in the next line.
    if (i >= line.length) this.#isWrong = true
    this.#last = 'value'
    return i + 1
  }

  #readScalar(line: Uint8Array, start: number): number {
    this.#expectValue()
    let i = start
    while (i < line.length && isScalar(line[i] ?? 0)) i++
    this.#last = 'value'
    return i
  }

  #expectValue(): void {
    const isExpected =
      this.#open.length === 0
        ? this.#last === 'nothing'
        : this.#open.at(-1) === OPEN_OBJECT
          ? this.#last === 'colon'
          : this.#last === 'opened' || this.#last === 'comma'
    if (isExpected) return
    this.#isFollowed = this.#open.length === 0
    this.#isWrong = true
  }
}

/** A character of a number or a literal. */
function isScalar(byte: number): boolean {
  const isDigit = byte >= 0x30 && byte <= 0x39
  const isLetter = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
  return isDigit || isLetter || byte === 0x2b || byte === 0x2d || byte === 0x2e
}
