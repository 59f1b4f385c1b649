import { Presets, SingleBar } from 'cli-progress'
import type { Sink } from '../context.ts'

/** The progress of a command, on stderr: a bar on a terminal, otherwise occasional lines; nothing with `--quiet`. */
export type Progress = {
  /** @param by the number of items done since the last call. */
  advance(by: number): void
  set(done: number): void
  /** Removes the bar; further calls do nothing. */
  end(): void
}

export type ProgressBoard = {
  /** Replaces the current bar. @param label such as `ids looked up`. @param total undefined: not known yet. */
  start(label: string, total: number | undefined): Progress
  /** Removes the bar from the screen to make room for a line of text; the next update shows it again. */
  hide(): void
}

const LINE_INTERVAL_MS = 5_000

export function createProgressBoard(
  sink: Sink,
  {
    isQuiet,
    monotonicNow,
    print,
  }: { isQuiet: boolean; monotonicNow: () => number; print: (line: string) => void },
): ProgressBoard {
  let hideCurrent = (): void => undefined
  return {
    start(label, total) {
      hideCurrent()
      if (isQuiet) return { advance() {}, set() {}, end() {} }
      const view = sink.isTerminal ? createBar(sink, label) : createLines(label, monotonicNow, print)
      hideCurrent = () => view.hide()
      let done = 0
      let hasEnded = false
      const show = () => {
        if (!hasEnded) view.show(done, total)
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

function createLines(label: string, monotonicNow: () => number, print: (line: string) => void): View {
  // The first line is due after one interval: quick work prints none.
  let lastMs = monotonicNow()
  return {
    show(done, total) {
      if (monotonicNow() - lastMs < LINE_INTERVAL_MS) return
      lastMs = monotonicNow()
      print(total === undefined ? `${label}: ${done}` : `${label}: ${done} of ${total}`)
    },
    hide() {},
  }
}
