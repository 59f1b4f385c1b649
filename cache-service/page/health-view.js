import { html, nothing } from './vendor/lit-html/lit-html.js'
import { ago, localTime, number, span } from './time.js'

const WORDS = { good: 'OK', bad: 'Problem', unknown: 'Unknown' }

/** @param health as page.js collects it. */
export function healthView(health, nowMs) {
  const { api, redis, workers, error, live } = health
  return html`
    <ul class="tiles">
      ${apiTile(api)} ${redisTile(redis)} ${workersTile(workers, error)} ${cacheTile(workers)}
      ${lagTile(workers)} ${liveTile(live)}
    </ul>
    ${workers === undefined || workers.length === 0 ? nothing : workersTable(workers, nowMs)}
  `
}

function tile(title, grade, value, details = []) {
  return html`
    <li class="tile" data-grade=${grade}>
      <h3>${title}</h3>
      <p class="value"><span class="sign" aria-hidden="true"></span>${value}</p>
      <span class="hidden">${WORDS[grade]}</span>
      ${details.map((detail) => html`<p class="detail">${detail}</p>`)}
    </li>
  `
}

function apiTile(api) {
  if (api === undefined) return tile('API', 'unknown', 'Checking…')
  if (api === 'unreachable') return tile('API', 'bad', 'Not responding')
  return api.ready ? tile('API', 'good', 'Ready') : tile('API', 'bad', 'Not ready', api.reasons)
}

function redisTile(redis) {
  if (redis === undefined) return tile('Redis', 'unknown', 'Unknown')
  return redis === 'connected' ? tile('Redis', 'good', 'Connected') : tile('Redis', 'bad', 'Disconnected')
}

function workersTile(workers, error) {
  if (workers === undefined) return tile('Workers', 'unknown', 'Unknown', error === undefined ? [] : [error])
  if (workers.length === 0)
    return tile('Workers', 'bad', 'None reporting', ['Nothing is updating the cache.'])
  const ready = workers.filter((worker) => worker.ready).length
  const reasons = new Set(workers.flatMap((worker) => worker.reasons))
  const grade = ready === workers.length ? 'good' : 'bad'
  return tile('Workers', grade, `${ready} of ${workers.length} ready`, [...reasons].slice(0, 3))
}

function cacheTile(workers) {
  if (workers === undefined) return tile('Cache', 'unknown', 'Unknown')
  const counts = workers.map(({ devices }) => devices).filter((devices) => devices !== null)
  const details = counts.length === 0 ? [] : [`${number(Math.max(...counts))} devices`]
  if (workers.some(({ rebuilding }) => rebuilding))
    return tile('Cache', 'bad', 'Rebuilding', [
      ...details,
      'Devices may be missing until the rebuild is complete.',
    ])
  return workers.length === 0
    ? tile('Cache', 'unknown', 'Unknown')
    : tile('Cache', 'good', 'Complete', details)
}

function lagTile(workers) {
  const measured = workers?.filter((worker) => worker.lag_records !== null) ?? []
  if (measured.length === 0) return tile('Lag', 'unknown', 'Unknown')
  const sum = (some) => some.reduce((total, worker) => total + worker.lag_records, 0)
  const records = sum(measured)
  // Workers of several topics or groups may fill the same Redis.
  const inputOf = ({ group, topic }) => `${topic ?? '?'}, group ${group ?? '?'}`
  const inputs = [...new Set(measured.map(inputOf))]
  const byInput = inputs.map((input) => {
    return `${input}: ${number(sum(measured.filter((worker) => inputOf(worker) === input)))}`
  })
  // Every worker of a group reports those that belong to none of them.
  const unread = new Set(
    workers.flatMap((worker) =>
      (worker.unread ?? []).map(({ partition }) => `${inputOf(worker)} ${partition}`),
    ),
  ).size
  const oldest = Math.max(0, ...workers.flatMap(({ lag }) => (lag ?? []).map(({ seconds }) => seconds ?? 0)))
  const value = records === 1 ? '1 record' : `${number(records)} records`
  return tile('Lag', oldest > 60 || unread > 0 ? 'bad' : 'good', value, [
    ...(unread === 0
      ? []
      : [unread === 1 ? '1 partition is not being read' : `${unread} partitions are not being read`]),
    ...(oldest < 1 ? [] : [`The oldest has been waiting for ${span(oldest)}`]),
    ...(byInput.length < 2 ? [] : byInput),
  ])
}

function liveTile(live) {
  if (live === 'live') return tile('Live changes', 'good', 'Following')
  return live === 'lost'
    ? tile('Live changes', 'bad', 'Connection lost', ['Reconnecting…'])
    : tile('Live changes', 'unknown', 'Connecting…')
}

function workersTable(workers, nowMs) {
  return html`
    <details class="workers">
      <summary>${workers.length === 1 ? '1 worker' : `${workers.length} workers`}</summary>
      <div class="scroll" role="region" aria-label="Workers" tabindex="0">
        <table>
          <caption class="hidden">
            Workers that reported recently
          </caption>
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col">State</th>
              <th scope="col">Version</th>
              <th scope="col" class="number">Records/s</th>
              <th scope="col" class="number">Lag</th>
              <th scope="col" class="number">Partitions</th>
              <th scope="col">Started</th>
            </tr>
          </thead>
          <tbody>
            ${workers.map(
              (worker) => html`
                <tr>
                  <th scope="row" class="id">${worker.id}</th>
                  <td>${worker.state}${worker.ready ? '' : ', not ready'}</td>
                  <td>${worker.version}</td>
                  <td class="number">${number(worker.rates.records, 1)}</td>
                  <td class="number">${worker.lag_records === null ? '–' : number(worker.lag_records)}</td>
                  <td class="number">${worker.lag === null ? '–' : worker.lag.length}</td>
                  <td>
                    <time datetime=${worker.started_at} title=${localTime(worker.started_at)}
                      >${ago(worker.started_at, nowMs)}</time
                    >
                  </td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    </details>
  `
}
