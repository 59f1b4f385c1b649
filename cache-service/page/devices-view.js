import { html, nothing } from './vendor/lit-html/lit-html.js'
import { repeat } from './vendor/lit-html/directives/repeat.js'
import { isOutdated, positionText } from './device-list.js'
import { deviceSearchForm } from './device-search-form.js'
import { expiry, text } from './device-values.js'
import { hasConditions, PAGE_SIZES, sortedBy } from './device-query.js'
import { deviceLink } from './route.js'
import { clockTime, count, number } from './time.js'
import { failure, when } from './ui.js'

const MAX_OFFERED_COLUMNS = 50

/**
 * @param actions `{ search, sort, resize, first, forward, back, reload, toggleColumn, exportAll }`
 */
export function devicesView({ list, live, nowMs, actions }) {
  return html`
    ${deviceSearchForm(list, actions.search)} ${latestChanges(live.latest(), nowMs)}
    ${errorNotices(list, actions)} ${foundLine(list, nowMs, actions)} ${content(list, live, nowMs, actions)}
    ${corruptNotice(list)}
    <div class="pager">
      <button
        type="button"
        ?disabled=${list.query.cursor === undefined || list.isLoading}
        @click=${actions.first}
      >
        First
      </button>
      <button type="button" ?disabled=${list.previous.length === 0 || list.isLoading} @click=${actions.back}>
        Previous
      </button>
      <button type="button" ?disabled=${list.next === undefined || list.isLoading} @click=${actions.forward}>
        Next
      </button>
      <label class="push">
        Rows
        <select @change=${(event) => actions.resize(Number(event.target.value))}>
          ${PAGE_SIZES.map(
            (size) => html`<option value=${size} .selected=${size === list.query.limit}>${size}</option>`,
          )}
        </select>
      </label>
    </div>
  `
}

/** How many there are, and what can be done with all of them. */
function foundLine(list, nowMs, actions) {
  if (list.total === undefined) return nothing
  const canExport = list.total > 0 && !list.isTruncated && !list.isExporting
  return html`
    <div class="found">
      <p>
        <strong
          >${list.total === 0 ? 'No devices' : `${positionText(list)} of ${count(list.total, 'device')}`}</strong
        >
        <span class="hint">
          ${list.isLoading ? 'Loading…' : `as of ${clockTime(list.asOfMs, nowMs)}${isOutdated(list) ? ', found by the previous search' : ''}`}
        </span>
      </p>
      <button type="button" class="quiet" ?disabled=${list.isLoading} @click=${actions.reload}>
        Refresh
      </button>
      ${columnMenu(list, actions)}
      <button type="button" class="quiet" ?disabled=${!canExport} @click=${actions.exportAll}>
        ${list.isExporting ? 'Exporting…' : 'Export CSV'}
      </button>
    </div>
    ${
      list.isTruncated
        ? html`<p class="notice">
            The cache holds more devices than a search covers, so further ones may match. Raise
            <code>API_SEARCH_MAX_DEVICES</code>; until then there is no export.
          </p>`
        : nothing
    }
  `
}

function columnMenu({ query, rows }, actions) {
  const found = rows.flatMap(({ device }) => Object.keys(device.extra ?? {}))
  const names = [...new Set([...query.columns, ...found.toSorted()])].slice(0, MAX_OFFERED_COLUMNS)
  if (names.length === 0) return nothing
  return html`
    <details class="column-menu">
      <summary>Columns</summary>
      <fieldset>
        <legend>Extra fields</legend>
        ${names.map(
          (name) => html`
            <label>
              <input
                type="checkbox"
                .checked=${query.columns.includes(name)}
                @change=${() => actions.toggleColumn(name)}
              />
              <span class="id">${name}</span>
            </label>
          `,
        )}
      </fieldset>
    </details>
  `
}

function latestChanges(latest, nowMs) {
  if (latest.length === 0) return nothing
  return html`
    <div class="latest">
      <h3 id="latest-title">Latest changes</h3>
      <ul aria-labelledby="latest-title">
        ${repeat(
          latest,
          ({ id }) => id,
          ({ id, kind, atMs }) => html`
            <li>
              <a class="id" href=${deviceLink(id)}>${id}</a>
              <span class="hint">${kind} ${when(new Date(atMs).toISOString(), nowMs)}</span>
            </li>
          `,
        )}
      </ul>
    </div>
  `
}

function errorNotices({ error, exportError, query }, actions) {
  const tryAgain = { title: 'Try again', action: actions.reload }
  const goToFirst = { title: 'Go to the first page', action: actions.first }
  // An invalid cursor stays invalid.
  const remedy = error?.isPermanent !== true ? tryAgain : query.cursor === undefined ? undefined : goToFirst
  return [
    error === undefined ? nothing : failure('The devices could not be loaded.', error, remedy),
    exportError === undefined ? nothing : failure('The devices could not be exported.', exportError),
  ]
}

function content(list, live, nowMs, actions) {
  if (list.rows.length === 0 && (list.error !== undefined || list.corrupt.size > 0)) return nothing
  if (list.rows.length === 0) return whyEmpty(list, actions)
  const { columns, sort } = list.query
  const header = (field, title, classes = '') => sortHeader({ field, title, classes, sort, actions })
  return html`
    <div class="scroll" role="region" aria-label="Devices" tabindex="0">
      <table class="stacked" role="table" aria-busy=${list.isLoading}>
        <caption class="hidden">
          Devices ${positionText(list)} of ${number(list.total)}
        </caption>
        <thead role="rowgroup">
          <tr role="row">
            ${header('device_id', 'Device', 'alone')} ${header('datatype_name', 'Type')}
            <th scope="col" role="columnheader" class="wide">Type id</th>
            ${header('datatype_unit', 'Unit', 'wide')}
            <th scope="col" role="columnheader" class="wide">Persist</th>
            ${header('last_updated', 'Updated')}
            <th scope="col" role="columnheader">Expires in</th>
            ${columns.map((name) => html`<th scope="col" role="columnheader" class="id extra">${name}</th>`)}
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${repeat(
            list.rows,
            ({ device }) => device.device_id,
            (row) => deviceRow(row, { columns, mark: live.markOf(row.device.device_id, nowMs), nowMs }),
          )}
        </tbody>
      </table>
    </div>
  `
}

function sortHeader({ actions, classes, field, sort, title }) {
  const isSorted = sort.replace(/^-/, '') === field
  const direction = sort.startsWith('-') ? 'descending' : 'ascending'
  return html`
    <th scope="col" role="columnheader" class=${classes} aria-sort=${isSorted ? direction : nothing}>
      <button type="button" class="link" @click=${() => actions.sort(sortedBy(field, sort))}>${title}</button>
    </th>
  `
}

function corruptNotice(list) {
  if (list.corrupt.size === 0) return nothing
  return html`
    <div class="notice">
      <p>Redis holds corrupt data for these devices:</p>
      <ul>
        ${[...list.corrupt].map(([id, detail]) => html`<li><a class="id" href=${deviceLink(id)}>${id}</a>: ${detail}</li>`)}
      </ul>
    </div>
  `
}

function whyEmpty(list, actions) {
  if (list.isLoading)
    return html`<p class="empty">
      Loading… A search reads all devices first, which takes some seconds if there are many.
    </p>`
  if (!hasConditions(list.query))
    return html`<p class="empty">
      ${list.query.cursor === undefined ? 'There are no devices yet.' : 'There are no more devices.'}
    </p>`
  const none = { contains: '', type: undefined, unit: undefined, silentFor: undefined }
  return html`
    <div class="empty">
      <p>No device matches.</p>
      <button type="button" @click=${() => actions.search(none)}>Show all devices</button>
    </div>
  `
}

function deviceRow({ device, fetchedMs, isMissing }, { columns, mark: hinted, nowMs }) {
  const { device_id: id, last_updated: updated } = device
  const mark = isMissing ? 'deleted' : hinted
  return html`
    <tr role="row" data-mark=${mark ?? nothing}>
      <th scope="row" role="rowheader" class="alone">
        <a class="id" href=${deviceLink(id)}>${id}</a>
        ${mark === undefined ? nothing : html`<span class="badge">${mark}</span>`}
      </th>
      <td role="cell">${text(device.datatype_name)}</td>
      <td role="cell" class="wide">${text(device.datatype_id)}</td>
      <td role="cell" class="wide">${text(device.datatype_unit)}</td>
      <td role="cell" class="wide">${text(device.persist)}</td>
      <td role="cell">${when(updated, nowMs)}</td>
      <td role="cell">${isMissing ? '–' : expiry(device.ttl, fetchedMs, nowMs)}</td>
      ${columns.map(
        (name) =>
          html`<td role="cell" class="extra" data-name=${name}>
            ${text(Object.hasOwn(device.extra ?? {}, name) ? device.extra[name] : undefined)}
          </td>`,
      )}
    </tr>
  `
}
