import { html, nothing } from './vendor/lit-html/lit-html.js'
import { groupsView } from './groups-view.js'
import { ago, number } from './time.js'
import { at, sourceNotice, when } from './ui.js'
import { inputOf, runningOf, unreadPartitions } from './workers.js'

const ROWS = 500
const UNREAD = {
  no_owner: 'No worker owns it',
  other_member: 'Another program of the group owns it',
  stuck: 'Its worker makes no progress',
}

/** @param health see health.js @param lag the source of `GET /api/lag` */
export function workersView({ health, lag, order, sortBy, nowMs }) {
  const notice = sourceNotice('The reports', health.reports, nowMs)
  const workers = health.reports.data
  if (workers === undefined) return notice
  if (workers.length === 0)
    return html`${notice}
      <p class="empty">
        No worker reports, so nothing updates the cache. Start one (<code>cache-service worker</code>), or
        look into its log; <code>cache-cli doctor</code> checks its settings and servers.
      </p>
      ${groupsView(lag, nowMs)}`
  return html`
    ${notice} ${workersTable(workers, nowMs)}
    <h3 id="lag-title">Lag by partition</h3>
    ${lagTable(lagRows(runningOf(workers)), { order, sortBy, nowMs })} ${groupsView(lag, nowMs)}
  `
}

function workersTable(workers, nowMs) {
  return html`
    <div class="scroll" role="region" aria-label="Workers" tabindex="0">
      <table class="stacked" role="table">
        <caption class="hidden">
          Workers
        </caption>
        <thead role="rowgroup">
          <tr role="row">
            <th scope="col" role="columnheader" class="alone">Worker</th>
            <th scope="col" role="columnheader">State</th>
            <th scope="col" role="columnheader" class="number wide">Records/s</th>
            <th scope="col" role="columnheader" class="number">Lag</th>
            <th scope="col" role="columnheader" class="number wide">Partitions</th>
            <th scope="col" role="columnheader" class="number wide">Dead letters</th>
            <th scope="col" role="columnheader">Last report</th>
            <th scope="col" role="columnheader" class="wide">Started</th>
            <th scope="col" role="columnheader" class="wide">Version</th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${workers.map(
            (worker) => html`
              <tr role="row" class=${worker.isGone ? 'gone' : nothing}>
                <th scope="row" role="rowheader" class="alone">
                  <span class="id">${worker.id}</span>
                  <span class="hint block">${inputOf(worker)}</span>
                </th>
                <td role="cell" data-grade=${worker.ready && !worker.isGone ? 'good' : 'bad'}>
                  <span class="sign" aria-hidden="true"></span>
                  ${worker.isGone ? 'No longer reports' : worker.state}${worker.ready ? '' : ', not ready'}
                  ${worker.reasons.map((reason) => html`<span class="hint block">${reason}</span>`)}
                  ${worker.rebuilding ? html`<span class="hint block">Rebuilding: devices may be missing</span>` : nothing}
                </td>
                <td role="cell" class="number wide">${number(worker.rates.records, 1)}</td>
                <td role="cell" class="number">
                  ${worker.lag_records === null ? '–' : number(worker.lag_records)}
                </td>
                <td role="cell" class="number wide">${worker.lag === null ? '–' : worker.lag.length}</td>
                <td role="cell" class="number wide">${number(worker.dead_letters_total)}</td>
                <td role="cell">${when(worker.reported_at, nowMs)}</td>
                <td role="cell" class="wide">${when(worker.started_at, nowMs)}</td>
                <td role="cell" class="wide">${worker.version}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `
}

function lagRows(workers) {
  const owned = workers.flatMap((worker) =>
    (worker.lag ?? []).map((lag) => ({
      ...lag,
      input: inputOf(worker),
      worker: worker.id,
      atMs: Date.parse(worker.reported_at),
    })),
  )
  const unread = unreadPartitions(workers)
  const find = (row) => unread.find((one) => one.input === row.input && one.partition === row.partition)
  const alone = unread.filter(
    (one) => !owned.some((row) => row.input === one.input && row.partition === one.partition),
  )
  return [
    ...owned.map((row) => ({ ...row, unread: find(row) })),
    ...alone.map((one) => ({ ...one, seconds: null, worker: one.owner, unread: one })),
  ]
}

const ORDERS = {
  partition: (a, b) => (a.input < b.input ? -1 : a.input > b.input ? 1 : a.partition - b.partition),
  lag: (a, b) => b.records - a.records || ORDERS.partition(a, b),
}

function lagTable(rows, { order, sortBy, nowMs }) {
  if (rows.length === 0) return html`<p class="empty">No worker has measured its lag yet.</p>`
  const severalInputs = new Set(rows.map(({ input }) => input)).size > 1
  const header = (name, title, className) => html`
    <th
      scope="col"
      class=${className}
      aria-sort=${order === name ? (name === 'lag' ? 'descending' : 'ascending') : nothing}
    >
      <button type="button" class="link" @click=${() => sortBy(name)}>${title}</button>
    </th>
  `
  return html`
    <div class="scroll" role="region" aria-labelledby="lag-title" tabindex="0">
      <table>
        <caption class="hidden">
          Lag by partition
        </caption>
        <thead>
          <tr>
            ${header('partition', 'Partition', '')} ${header('lag', 'Records behind', 'number')}
            <th scope="col">Waiting since</th>
            <th scope="col">Worker</th>
          </tr>
        </thead>
        <tbody>
          ${rows
            .toSorted(ORDERS[order])
            .slice(0, ROWS)
            .map(
              (row) => html`
                <tr>
                  <th scope="row">
                    ${row.partition}
                    ${severalInputs ? html`<span class="hint block">${row.input}</span>` : nothing}
                  </th>
                  <td class="number">${number(row.records)}</td>
                  <td>${waitingSince(row, nowMs)}</td>
                  <td>
                    <span class="id">${row.worker ?? '–'}</span>
                    ${row.unread === undefined ? nothing : html`<span class="hint block bad">${UNREAD[row.unread.reason] ?? row.unread.reason}</span>`}
                  </td>
                </tr>
              `,
            )}
        </tbody>
      </table>
    </div>
    ${rows.length > ROWS ? html`<p class="hint">The first ${number(ROWS)} of ${number(rows.length)} partitions.</p>` : nothing}
  `
}

/** Since when the first record that is not durable yet has been waiting. */
function waitingSince({ atMs, records, seconds }, nowMs) {
  if (records === 0) return '–'
  if (seconds === null || Number.isNaN(atMs)) return 'unknown'
  const sinceMs = atMs - seconds * 1000
  return html`${at(sinceMs, nowMs)}
    <span class="hint nowrap">${seconds < 1 ? '' : ago(new Date(sinceMs).toISOString(), nowMs)}</span>`
}
