import { html, nothing } from './vendor/lit-html/lit-html.js'
import { sum } from './sum.js'
import { byteSize, clockTime, count, number, span } from './time.js'
import { inputOf, lagOf, runningOf, unreadPartitions } from './workers.js'

const WORDS = { good: 'OK', bad: 'Problem', unknown: 'Unknown' }
/** Records that wait for longer than this are a problem. */
const WAITS_TOO_LONG_S = 60

/** @param redis the source of `GET /api/redis` */
export function overviewView({ health, redis, skewMs, unknown, nowMs }) {
  const { data: workers, error } = health.reports
  const running = workers === undefined ? undefined : runningOf(workers)
  return html`
    ${unknown === undefined ? nothing : html`<p class="notice">This page has no view “${unknown}”. Here is the overview.</p>`}
    ${
      skewMs === 0
        ? nothing
        : html`<p class="hint">
            The clock of this computer is ${span(Math.abs(skewMs) / 1000)}
            ${skewMs > 0 ? 'behind' : 'ahead of'} the server's. All ages here are by the server's clock.
          </p>`
    }
    ${conditionList(health.conditions, nowMs)}
    <ul class="tiles">
      ${apiTile(health.api)} ${redisTile(health.redis, redis.data)} ${workersTile(running, error)}
      ${cacheTile(running)} ${lagTile(running)} ${deadLettersTile(workers)} ${liveTile(health)}
    </ul>
  `
}

function conditionList(conditions, nowMs) {
  if (conditions.length < 2) return nothing
  return html`
    <ul class="notice conditions" aria-label="Problems">
      ${conditions.map(
        ({ details, sinceMs, text, view }) => html`
          <li>
            ${view === undefined ? text : html`<a href=${`#${view}`}>${text}</a>`} Since
            ${clockTime(sinceMs, nowMs)}. ${details.join(' ')}
          </li>
        `,
      )}
    </ul>
  `
}

function tile(title, grade, value, details = [], view = undefined) {
  return html`
    <li class="tile" data-grade=${grade}>
      <h3>${view === undefined ? title : html`<a href=${`#${view}`}>${title}</a>`}</h3>
      <p class="value"><span class="sign" aria-hidden="true"></span>${value}</p>
      <span class="hidden">${WORDS[grade]}</span>
      ${details.map((detail) => html`<p class="detail">${detail}</p>`)}
    </li>
  `
}

function apiTile(api) {
  switch (api?.kind) {
    case 'ready':
      return tile('API', 'good', 'Ready')
    case 'not_ready':
      return tile('API', 'bad', 'Not ready')
    case 'forbidden':
      return tile('API', 'bad', 'Refused')
    case 'unreachable':
      return tile('API', 'bad', 'Not responding')
    default:
      return tile('API', 'unknown', 'Checking…')
  }
}

function redisTile(redis, details) {
  if (redis === undefined) return tile('Redis', 'unknown', 'Unknown', [], 'redis')
  if (redis !== 'connected') return tile('Redis', 'bad', 'Disconnected', [], 'redis')
  const { used_bytes: used, max_bytes: max } = details?.memory ?? {}
  const memory =
    typeof used !== 'number' ? [] : [max > 0 ? `${byteSize(used)} of ${byteSize(max)}` : byteSize(used)]
  return tile('Redis', 'good', 'Connected', memory, 'redis')
}

function workersTile(running, error) {
  if (running === undefined)
    return tile('Workers', 'unknown', 'Unknown', error === undefined ? [] : [error.message], 'workers')
  if (running.length === 0)
    return tile('Workers', 'bad', 'None reporting', ['Nothing is updating the cache.'], 'workers')
  const ready = running.filter((worker) => worker.ready).length
  const grade = ready === running.length ? 'good' : 'bad'
  return tile('Workers', grade, `${ready} of ${running.length} ready`, [], 'workers')
}

function cacheTile(running) {
  if (running === undefined || running.length === 0) return tile('Cache', 'unknown', 'Unknown', [], 'devices')
  const counts = running.map(({ devices }) => devices).filter((devices) => devices !== null)
  const details = counts.length === 0 ? [] : [count(Math.max(...counts), 'device')]
  if (running.some(({ rebuilding }) => rebuilding))
    return tile(
      'Cache',
      'bad',
      'Rebuilding',
      [...details, 'Devices may be missing until the rebuild is complete.'],
      'devices',
    )
  return tile('Cache', 'good', 'Complete', details, 'devices')
}

function lagTile(running) {
  const lag = lagOf(running ?? [])
  if (lag === null) return tile('Lag', 'unknown', 'Unknown', [], 'workers')
  const byInput = Object.entries(Object.groupBy(running, inputOf))
    .map(([input, workers]) => [input, lagOf(workers)])
    .filter(([, ofInput]) => ofInput !== null)
    .map(([input, ofInput]) => `${input}: ${number(ofInput)}`)
  const unread = unreadPartitions(running).length
  const oldest = Math.max(
    0,
    ...running.flatMap((worker) => (worker.lag ?? []).map(({ seconds }) => seconds ?? 0)),
  )
  const details = [
    ...(unread === 0 ? [] : [`${count(unread, 'partition')} not being read`]),
    ...(oldest < 1 ? [] : [`The oldest has been waiting for ${span(oldest)}`]),
    ...(byInput.length < 2 ? [] : byInput),
  ]
  const grade = oldest > WAITS_TOO_LONG_S || unread > 0 ? 'bad' : 'good'
  return tile('Lag', grade, count(lag, 'record'), details, 'workers')
}

function deadLettersTile(workers) {
  if (workers === undefined) return tile('Dead letters', 'unknown', 'Unknown', [], 'dead-letters')
  const total = sum(workers.map((worker) => worker.dead_letters_total))
  return tile(
    'Dead letters',
    total === 0 ? 'good' : 'unknown',
    number(total),
    ['Since the workers started'],
    'dead-letters',
  )
}

function liveTile({ live, redis }) {
  if (live === 'live' && redis === 'disconnected')
    return tile('Live changes', 'bad', 'Interrupted', ['Until Redis responds again'], 'changes')
  if (live === 'live') return tile('Live changes', 'good', 'Following', [], 'changes')
  return live === 'lost'
    ? tile('Live changes', 'bad', 'Connection lost', ['Reconnecting…'], 'changes')
    : tile('Live changes', 'unknown', 'Connecting…', [], 'changes')
}
