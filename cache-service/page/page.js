import { html, nothing, render } from './vendor/lit-html/lit-html.js'
import { createAnnouncer } from './announcer.js'
import { createApi } from './api.js'
import { bannerView, connectionView } from './banner-view.js'
import { createChangeLog } from './change-log.js'
import { changesView } from './changes-view.js'
import { createCharts } from './charts.js'
import { deadLettersView } from './dead-letters-view.js'
import { createDeviceList } from './device-list.js'
import { createDevicePage } from './device-page.js'
import { deviceView } from './device-view.js'
import { devicesView } from './devices-view.js'
import { followEvents } from './events.js'
import { createHealth } from './health.js'
import { createHeldList } from './held-list.js'
import { createLiveChanges } from './live-changes.js'
import { overviewView } from './overview-view.js'
import { redisView } from './redis-view.js'
import { parseRoute, VIEWS } from './route.js'
import { createServerClock } from './server-clock.js'
import { createSource } from './source.js'
import { createState } from './state.js'
import { stateView } from './state-view.js'
import { createRedisFigures, trafficSample } from './figures.js'
import { askForToken } from './token-dialog.js'
import { createDeleteDialog } from './delete-dialog.js'
import { startThemeToggle } from './theme-toggle.js'
import { createCopier } from './ui.js'
import { workersView } from './workers-view.js'

const POLL_MS = 5_000
const TICK_MS = 1_000

const byId = (id) => document.getElementById(id)
const clock = createServerClock()
const { now } = clock
const announce = createAnnouncer(byId('announcer'))
const copier = createCopier({ announce, changed: draw })

const api = createApi(async (wasRefused) => {
  const token = await askForToken(byId('token-dialog'), wasRefused)
  byId('forget-token').hidden = false
  // Another token may allow something else: pollSources asks again.
  access.data = undefined
  return token
}, clock)
const monitor = createHealth(api, { now, changed: draw })
const { health } = monitor
const access = createSource(() => api.ask('api/access'), { now, changed: draw })
const redisFigures = createRedisFigures()
const redis = createSource(async () => redisFigures.add(await api.ask('api/redis')), { now, changed: draw })
const lag = createSource(() => api.ask('api/lag'), { now, changed: draw })
const state = createState(api, { now, changed: draw })
const changes = createChangeLog()
const list = createDeviceList(api, { changed: draw, announce, now })
const device = createDevicePage(api, { now, changed: draw, announce })
const deleteDialog = createDeleteDialog(byId('delete-dialog'))
const live = createLiveChanges({ shownIds, reread, changed: draw, announce, now })
const charts = createCharts(byId('charts'))
const openTypes = new Set()
const deadLetters = createHeldList(
  ({ at, offset, partition, topic, worker }) => `${topic} ${partition} ${offset} ${at} ${worker}`,
)
let route = { view: 'overview' }
let lagOrder = 'lag'

/** The devices on the screen. What is hidden is loaded when it is shown. */
function shownIds() {
  if (route.view === 'devices') return list.view.rows.map((row) => row.device.device_id)
  return device.shown === undefined ? [] : [device.shown.id]
}

async function reread(ids) {
  if (device.shown === undefined) return await list.reread(ids)
  return (await device.shown.reread()) ? ids : []
}

const listActions = {
  search: (conditions) => list.go(conditions),
  sort: (sort) => list.go({ sort }),
  resize: (limit) => list.go({ limit }),
  first: () => list.go({}),
  forward: list.forward,
  back: list.back,
  reload: list.load,
  toggleColumn: list.toggleColumn,
  exportAll: list.exportAll,
}

async function confirmDelete() {
  const asked = device.shown
  if ((await deleteDialog.confirm(asked.id)) && device.shown === asked) asked.remove()
}

const views = {
  overview: (nowMs) => overviewView({ health, redis, skewMs: clock.offsetMs, unknown: route.unknown, nowMs }),
  devices: (nowMs) => devicesView({ list: list.view, live, nowMs, actions: listActions }),
  device: (nowMs) =>
    deviceView({
      shown: device.shown,
      mark: live.markOf(device.shown.id, nowMs),
      mayWrite: access.data?.scopes.includes('write'),
      copier,
      nowMs,
      confirmDelete,
    }),
  changes: (nowMs) => changesView({ log: changes, live: health.live, nowMs, changed: draw }),
  workers: (nowMs) => workersView({ health, lag, order: lagOrder, sortBy, nowMs }),
  'dead-letters': (nowMs) => deadLettersView({ health, list: deadLetters, copier, nowMs, changed: draw }),
  redis: (nowMs) => redisView({ redis, recentHitRate: redisFigures.recentHitRate, nowMs }),
  state: (nowMs) => stateView({ state, open: openTypes, nowMs, changed: draw }),
}

function sortBy(order) {
  lagOrder = order
  draw()
}

let isDrawing = false
function draw() {
  if (isDrawing) return
  isDrawing = true
  requestAnimationFrame(() => {
    isDrawing = false
    const nowMs = now()
    byId('main').toggleAttribute('data-stale', health.isStale)
    render(bannerView(health, nowMs), byId('banner'))
    render(navigation(), byId('navigation'))
    render(connectionView(health), byId('connection'))
    render(views[route.view](nowMs), byId(`${route.view}-view`))
  })
}

function navigation() {
  const current = route.view === 'device' ? 'devices' : route.view
  return html`<ul>
    ${VIEWS.map(
      ({ name, title }) =>
        html`<li>
          <a href=${`#${name}`} aria-current=${name === current ? 'page' : nothing}>${title}</a>
        </li>`,
    )}
  </ul>`
}

/** Shows what the address says. The heading gets the focus, unless the page has just been opened. */
function followAddress({ isFirst = false } = {}) {
  deleteDialog.cancel()
  route = parseRoute(location.hash)
  if (route.view === 'device') device.open(route.id)
  else device.close()
  if (route.view === 'devices') list.show(route.query)
  if (route.view === 'redis' || route.view === 'overview') redis.load()
  if (route.view === 'workers') lag.load()
  for (const view of Object.keys(views)) byId(`${view}-section`).hidden = view !== route.view
  const title = byId(`${route.view}-title`)
  if (route.view === 'device') title.textContent = route.id
  document.title = `${title.textContent} – Device cache`
  if (!isFirst) {
    title.focus({ preventScroll: true })
    scrollTo(0, 0)
  }
  draw()
}

/** Repeats `turn` indefinitely, POLL_MS after the previous one has ended. */
async function poll(turn) {
  for (;;) {
    try {
      await turn()
    } catch (error) {
      // A bug, which must not end the others.
      reportError(error)
    }
    draw()
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

async function pollHealth() {
  await monitor.poll()
  const { data: workers = [], error } = health.reports
  charts.add(trafficSample(health, now()), error === undefined ? workers : [])
}

/** Reads again what is shown, and what could not be read before, unless it never can. */
async function pollSources() {
  if (health.api?.kind === 'unreachable') return
  if (route.view === 'devices' && mayPass(list.view.error) && !list.view.isLoading) list.load()
  if (mayPass(state.source.error)) state.source.load()
  if (access.data === undefined) access.load()
  device.shown?.rereadIfDue()
  if (route.view === 'redis' || route.view === 'overview') await redis.load()
  if (route.view === 'workers') await lag.load()
}

function mayPass(error) {
  return error !== undefined && error.isPermanent !== true
}

function received({ type, data: json }) {
  if (type === 'device') {
    const { change, device_ids: ids, more } = JSON.parse(json)
    const entries = ids.map((id) => ({ kind: change, id }))
    changes.add(more > 0 ? [{ kind: 'more', id: more }, ...entries] : entries, now())
    live.hint(change, ids, more)
  }
  if (type === 'update') changes.add([{ kind: 'set', id: state.apply(json) }], now())
  if (type === 'reset') missed(JSON.parse(json))
  draw()
}

function missed({ reason, streams }) {
  changes.add([{ kind: 'missed', id: reason }], now())
  announce('Some changes were missed; loading everything again')
  if (streams.includes('update')) state.source.load()
  if (streams.includes('device')) {
    if (route.view === 'devices') list.load()
    device.shown?.source.load()
  }
}

startThemeToggle(byId('theme-toggle'), () => charts.recolour())
byId('forget-token').hidden = !api.hasToken()
byId('forget-token').addEventListener('click', () => {
  api.forgetToken()
  location.reload()
})
byId('skip').addEventListener('click', (event) => {
  // As a link it would change the address, which says what is shown.
  event.preventDefault()
  byId('main').focus()
})
byId('back').addEventListener('click', () => {
  if (history.length > 1) history.back()
  else location.hash = '#devices'
})
byId('not-started').remove()
addEventListener('hashchange', () => followAddress())
setInterval(draw, TICK_MS)
followAddress({ isFirst: true })
state.source.load()
access.load()
poll(pollHealth)
poll(pollSources)
followEvents(api, 'api/events?events=device,update', {
  received,
  stateChanged(connection) {
    // Changes during a lost connection are not missed: the resumed stream sends them, or a reset.
    monitor.liveChanged(connection)
    draw()
  },
})
