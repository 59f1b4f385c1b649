import uPlot from './vendor/uplot/uPlot.esm.js'
import { fillGaps, historySamples, KEPT_MS } from './chart-samples.js'
import { number } from './time.js'

/** The charts begin with a shorter span, so that the first samples are visible. */
const SHOWN_AT_LEAST_S = 2 * 60
const HEIGHT = 132

const CHARTS = [
  { name: 'records', title: 'Records', unit: 'per second', digits: 1 },
  { name: 'lag', title: 'Lag', unit: 'records behind', digits: 0 },
  { name: 'deadLetters', title: 'Dead letters', unit: 'per minute', digits: 1 },
]

/**
 * Three charts of the last minutes, in `container`. A sample is `{ atMs, records, lag, deadLetters }`: each a number, or
 * null for a gap if it is unknown.
 */
export function createCharts(container) {
  let samples = []
  const charts = CHARTS.map((chart) => ({ ...chart, ...createFigure(container, chart), pointed: undefined }))

  function draw(chart) {
    const times = samples.map(({ atMs }) => atMs / 1000)
    const values = samples.map((sample) => sample[chart.name])
    const now = times.at(-1) ?? Date.now() / 1000
    chart.plot.setData([times, values], false)
    const shownS = Math.max(SHOWN_AT_LEAST_S, now - (times[0] ?? now))
    chart.plot.setScale('x', { min: now - shownS, max: now })
    const highest = Math.max(0, ...values)
    chart.plot.setScale('y', { min: 0, max: highest === 0 ? 1 : highest * 1.15 })
    describe(chart, samples)
  }

  function build() {
    for (const chart of charts) {
      chart.plot?.destroy()
      const pointAt = (index) => {
        chart.pointed = index
        describe(chart, samples)
      }
      chart.plot = new uPlot(plotOptions(chart, pointAt), [[], []], chart.canvas)
      draw(chart)
    }
  }

  build()
  new ResizeObserver(() => {
    for (const { plot, canvas } of charts)
      if (canvas.clientWidth > 0) plot.setSize({ width: canvas.clientWidth, height: HEIGHT })
  }).observe(container)

  return {
    /** @param workers the reports that `sample` was taken from: their history fills the gaps between the samples. */
    add(sample, workers) {
      const history = historySamples(workers, sample.atMs)
      samples = fillGaps([...samples, sample], history).filter(({ atMs }) => atMs > sample.atMs - KEPT_MS)
      for (const chart of charts) draw(chart)
    },
    /** To call when the theme changes: a canvas does not follow CSS. */
    recolour: build,
  }
}

function createFigure(container, { title, unit }) {
  const figure = document.createElement('figure')
  const caption = document.createElement('figcaption')
  const name = document.createElement('span')
  name.textContent = title
  const current = document.createElement('strong')
  current.textContent = '–'
  const per = document.createElement('span')
  per.className = 'hint'
  per.textContent = unit
  caption.append(name, current, per)
  const canvas = document.createElement('div')
  canvas.className = 'canvas'
  canvas.role = 'img'
  canvas.ariaLabel = `${title}: no samples yet`
  figure.append(caption, canvas)
  container.append(figure)
  return { canvas, current, per }
}

/** The caption shows the value under the pointer, otherwise the newest. */
function describe({ canvas, current, digits, name, per, pointed, title, unit }, samples) {
  const known = samples.map((sample) => sample[name]).filter((value) => value !== null)
  const textOf = (value) => (value === null || value === undefined ? 'unknown' : number(value, digits))
  const latest = textOf(samples.at(-1)?.[name])
  const shown = samples[pointed] ?? undefined
  current.textContent = shown === undefined ? latest : textOf(shown[name])
  per.textContent = shown === undefined ? unit : `${unit}, ${clock(shown.atMs / 1000)}`
  canvas.ariaLabel =
    known.length === 0
      ? `${title}: unknown`
      : `${title}, ${unit}: ${latest} now, between ${number(Math.min(...known), digits)} and ${number(Math.max(...known), digits)} in the last ${minutes(samples)}`
}

function minutes(samples) {
  const shown = Math.max(1, Math.round((samples.at(-1).atMs - samples[0].atMs) / 60_000))
  return shown === 1 ? 'minute' : `${shown} minutes`
}

function plotOptions({ canvas }, pointAt) {
  const style = getComputedStyle(document.documentElement)
  const colour = (name) => style.getPropertyValue(name).trim()
  const axis = {
    stroke: colour('--faint'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  }
  return {
    width: Math.max(1, canvas.clientWidth),
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    hooks: { setCursor: [({ cursor }) => pointAt(cursor.left >= 0 ? cursor.idx : undefined)] },
    // The last label of the time axis needs half its width on the right.
    padding: [8, 18, 0, 0],
    scales: { x: { time: true, auto: false }, y: { auto: false } },
    axes: [
      { ...axis, space: 60, size: 24, incrs: [60, 120, 300], values: (_plot, splits) => splits.map(clock) },
      { ...axis, size: 44, space: 28, values: (_plot, splits) => splits.map(short) },
    ],
    series: [
      {},
      { stroke: colour('--accent'), width: 1.5, fill: colour('--accent-faint'), points: { show: false } },
    ],
  }
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  })
}

function short(value) {
  return value.toLocaleString('en', { notation: 'compact', maximumFractionDigits: 1 })
}
