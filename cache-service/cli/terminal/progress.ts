import { Presets, SingleBar } from 'cli-progress'
import type { Sink } from '../context.ts'

/** How far a command has come, on stderr: a bar on a terminal, else a line now and then; with `--quiet` nothing. */
export type Progress = {
  /** @param by how many more are done. */
  advance(by: number): void
  set(done: number): void
  setTotal(total: number): void
  /** Ends the bar; further calls do nothing. */
  end(): void
}

export type ProgressBoard = {
  /** One at a time. @param label such as `looking up`. @param total undefined: not known yet. */
  start(label: string, total: number | undefined): Progress
  /** Takes the bar off the screen, for a line of text; the next advance brings it back. */
  hide(): void
}

const LINE_EVERY_MS = 5_000

export function createProgressBoard(
  sink: Sink,
  { isQuiet, now, say }: { isQuiet: boolean; now: () => number; say: (line: string) => void },
): ProgressBoard {
  let hideCurrent = (): void => undefined
  return {
    start(label, total) {
      hideCurrent()
      if (isQuiet) return { advance() {}, set() {}, setTotal() {}, end() {} }
      const view = sink.isTerminal ? createBar(sink, label) : createLines(label, now, say)
      hideCurrent = () => view.hide()
      let done = 0
      let known = total
      let hasEnded = false
      const show = () => {
        if (!hasEnded) view.show(done, known)
      }
      show()
      return {
        advance(by) {
          done += by
          show()
        },
        set(to) {
          done = to
          show()
        },
        setTotal(to) {
          known = to
          show()
        },
        end() {
          hasEnded = true
          view.hide()
        },
      }
    },
    hide: () => hideCurrent(),
  }
}

type View = { show(done: number, total: number | undefined): void; hide(): void }

function createBar(sink: Sink, label: string): View {
  let bar: SingleBar | undefined
  let shownTotal: number | undefined
  return {
    show(done, total) {
      if (bar !== undefined && shownTotal === total) return bar.update(done)
      bar?.stop()
      bar = new SingleBar(
        {
          stream: sink.stream,
          format: total === undefined ? `${label}: {value}` : `${label} [{bar}] {value} of {total}`,
          clearOnComplete: true,
          hideCursor: true,
          gracefulExit: false,
        },
        Presets.legacy,
      )
      shownTotal = total
      bar.start(total ?? 0, done)
    },
    hide() {
      bar?.stop()
      bar = undefined
    },
  }
}

function createLines(label: string, now: () => number, say: (line: string) => void): View {
  // Quick work says nothing.
  let lastMs = now()
  return {
    show(done, total) {
      if (now() - lastMs < LINE_EVERY_MS) return
      lastMs = now()
      say(total === undefined ? `${label}: ${done}` : `${label}: ${done} of ${total}`)
    },
    hide() {},
  }
}
