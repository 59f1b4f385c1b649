import { render } from './vendor/lit-html/lit-html.js'
import { createApi } from './api.js'
import { createCharts } from './charts.js'
import { createDeviceDialog } from './device-dialog.js'
import { createDeviceList } from './device-list.js'
import { devicesView } from './devices-view.js'
import { followEvents } from './events.js'
import { healthView } from './health-view.js'
import { deadLettersView, stateView } from './lists-view.js'
import { createLiveChanges } from './live-changes.js'
import { askForToken } from './token-dialog.js'
import { startThemeToggle } from './theme-toggle.js'

const SAMPLE_MS = 5_000
const TICK_MS = 1_000
const ANNOUNCE_EVERY_MS = 3_000

const byId = (id) => document.getElementById(id)
const health = { api: undefined, redis: undefined, workers: undefined, error: undefined, live: undefined }
const deadLetters = { latest: undefined, error: undefined }
const state = { entries: undefined, error: undefined, marks: new Map() }

const api = createApi(async (wasRefused) => {
  const token = await askForToken(byId('token-dialog'), wasRefused)
  byId('forget-token').hidden = false
  return token
})
const list = createDeviceList(api, draw)
const live = createLiveChanges(api, {
  shownIds: () => [...new Set([...list.view.rows.map(({ device }) => device.device_id), ...openId()])],
  updatedOf: (id) => list.view.rows.find(({ device }) => device.device_id === id)?.device.last_updated,
  refreshed(found, nowMs) {
    list.refresh(found, nowMs)
    if (openId().some((id) => found[id] !== undefined)) dialog.reload()
  },
  changed: draw,
  announce,
})
const dialog = createDeviceDialog(byId('device-dialog'), { api, live, announce })
const charts = createCharts(byId('charts'))

const actions = {
  async search(match) {
    await list.search(match)
    announceRows()
  },
  async resize(limit) {
    await list.resize(limit)
    announceRows()
  },
  async forward() {
    await list.forward()
    announceRows()
  },
  async back() {
    await list.back()
    announceRows()
  },
  reload: () => list.load(),
  open: (id) => dialog.open(id),
}

function openId() {
  const id = dialog.shownId()
  return id === undefined ? [] : [id]
}

let drawing = false
function draw() {
  if (drawing) return
  drawing = true
  requestAnimationFrame(() => {
    drawing = false
    const nowMs = Date.now()
    render(healthView(health, nowMs), byId('health-view'))
    render(devicesView({ list: list.view, live, nowMs, actions }), byId('devices-view'))
    render(deadLettersView(deadLetters, nowMs), byId('dead-letters-view'))
    render(stateView(state, nowMs), byId('state-view'))
    dialog.draw(nowMs)
  })
}

let announcement = ''
let announcing
/** For screen readers: announces the latest message, at most one every few seconds. */
function announce(message) {
  announcement = message
  if (announcing !== undefined) return
  byId('announcer').textContent = message
  announcing = setTimeout(() => {
    announcing = undefined
    if (announcement !== byId('announcer').textContent) announce(announcement)
  }, ANNOUNCE_EVERY_MS)
}

function announceRows() {
  const count = list.view.rows.length
  const page = `Page ${list.view.cursors.length}, ${count === 1 ? '1 device' : `${count} devices`}`
  announce(list.view.error ?? page)
}

async function pollHealth() {
  const [ready, redis] = await Promise.allSettled([
    api.ask('/readyz', { accepted: [503] }),
    api.ask('/health', { accepted: [503] }),
  ])
  health.api = ready.status === 'fulfilled' ? ready.value : 'unreachable'
  health.redis = redis.status === 'fulfilled' ? redis.value.redis : undefined
}

async function pollWorkers() {
  const nowMs = Date.now()
  try {
    const { workers } = await api.ask('/api/workers')
    Object.assign(health, { workers, error: undefined })
    charts.add(nowMs, sampleOf(workers))
  } catch (error) {
    Object.assign(health, { workers: undefined, error: error.message })
    charts.add(nowMs, { records: null, lag: null, deadLetters: null })
  }
}

function sampleOf(workers) {
  if (workers.length === 0) return { records: null, lag: null, deadLetters: null }
  const sum = (values) => values.reduce((total, value) => total + value, 0)
  const lags = workers.map((worker) => worker.lag_records).filter((lag) => lag !== null)
  return {
    records: sum(workers.map(({ rates }) => rates.records)),
    lag: lags.length === 0 ? null : sum(lags),
    deadLetters: sum(workers.map(({ rates }) => rates.dead_letters)) * 60,
  }
}

async function pollDeadLetters() {
  try {
    const latest = await api.ask('/api/dead-letters')
    Object.assign(deadLetters, { latest: latest.dead_letters, error: undefined })
  } catch (error) {
    Object.assign(deadLetters, { latest: undefined, error: error.message })
  }
}

async function loadState() {
  try {
    const { state: found } = await api.ask('/api/state')
    const entries = Object.entries(found).toSorted(([a], [b]) => (a < b ? -1 : 1))
    Object.assign(state, { entries, error: undefined })
  } catch (error) {
    Object.assign(state, { entries: undefined, error: error.message })
  }
  draw()
}

/** Repeats `turn` indefinitely, `everyMs` after the previous one has ended. */
async function poll(everyMs, turn) {
  for (;;) {
    await turn()
    draw()
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

function received({ type, data: json }) {
  const data = JSON.parse(json)
  if (type === 'device') live.hint(data.change, data.device_ids, data.more)
  if (type === 'update') {
    state.marks.set(data.type, Date.now())
    loadState()
  }
  if (type === 'reset') {
    announce('Some changes were missed; reloading')
    if (data.streams.includes('update')) loadState()
    if (data.streams.includes('device')) {
      list.load()
      dialog.reload()
    }
  }
}

function openFromAddress() {
  const [, id] = /^#device=(.+)$/.exec(location.hash) ?? []
  if (id !== undefined) dialog.open(decodeURIComponent(id))
}

startThemeToggle(byId('theme-toggle'), () => charts.recolour())
byId('forget-token').hidden = !api.hasToken()
byId('forget-token').addEventListener('click', () => {
  api.forgetToken()
  location.reload()
})
addEventListener('hashchange', openFromAddress)
setInterval(draw, TICK_MS)
draw()
openFromAddress()
list.load()
loadState()
poll(SAMPLE_MS, pollHealth)
poll(SAMPLE_MS, pollWorkers)
poll(SAMPLE_MS, pollDeadLetters)
followEvents(api, '/api/events?events=device,update', {
  received,
  stateChanged(now) {
    // Changes during a lost connection are not missed: the resumed stream sends them, or a reset.
    health.live = now
    draw()
  },
})
