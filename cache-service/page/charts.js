import uPlot from './vendor/uplot/uPlot.esm.js'
import { number } from './time.js'

const KEPT_S = 15 * 60
/** The charts begin with a shorter span, so that the first samples are visible. */
const SHOWN_AT_LEAST_S = 2 * 60
const HEIGHT = 132

const CHARTS = [
  { name: 'records', title: 'Records', unit: 'per second', digits: 1 },
  { name: 'lag', title: 'Lag', unit: 'records behind', digits: 0 },
  { name: 'deadLetters', title: 'Dead letters', unit: 'per minute', digits: 1 },
]

/**
 * Three charts of the last minutes, in `container`. A sample is `{ records, lag, deadLetters }`: each a number, or null
 * for a gap if it is unknown.
 */
export function createCharts(container) {
  const times = []
  const charts = CHARTS.map((chart) => ({ ...chart, ...createFigure(container, chart), values: [] }))

  function draw(chart) {
    const now = times.at(-1) ?? Date.now() / 1000
    chart.plot.setData([times, chart.values], false)
    const shownS = Math.max(SHOWN_AT_LEAST_S, now - (times[0] ?? now))
    chart.plot.setScale('x', { min: now - shownS, max: now })
    const highest = Math.max(0, ...chart.values)
    chart.plot.setScale('y', { min: 0, max: highest === 0 ? 1 : highest * 1.15 })
  }

  function build() {
    for (const chart of charts) {
      chart.plot?.destroy()
      chart.plot = new uPlot(plotOptions(chart), [[], []], chart.canvas)
      draw(chart)
    }
  }

  build()
  new ResizeObserver(() => {
    for (const { plot, canvas } of charts) plot.setSize({ width: canvas.clientWidth, height: HEIGHT })
  }).observe(container)

  return {
    add(nowMs, sample) {
      times.push(nowMs / 1000)
      const outdated = times.findIndex((time) => time >= nowMs / 1000 - KEPT_S)
      times.splice(0, outdated)
      for (const chart of charts) {
        chart.values.push(sample[chart.name])
        chart.values.splice(0, outdated)
        draw(chart)
        describe(chart)
      }
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
  return { canvas, current }
}

function describe({ title, unit, digits, values, current, canvas }) {
  const known = values.filter((value) => value !== null)
  const latest = values.at(-1)
  current.textContent = latest === null ? 'unknown' : number(latest, digits)
  canvas.ariaLabel =
    known.length === 0
      ? `${title}: unknown`
      : `${title}, ${unit}: ${current.textContent} now, between ${number(Math.min(...known), digits)} and ${number(Math.max(...known), digits)} since this page was opened`
}

function plotOptions({ canvas }) {
  const style = getComputedStyle(document.documentElement)
  const colour = (name) => style.getPropertyValue(name).trim()
  const axis = {
    stroke: colour('--faint'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  }
  return {
    width: canvas.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 4, 0, 0],
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
