import { html, nothing } from './vendor/lit-html/lit-html.js'
import { repeat } from './vendor/lit-html/directives/repeat.js'
import { deviceLink } from './route.js'
import { ago, localTime, span } from './time.js'

const PAGE_SIZES = [25, 50, 100]

/**
 * @param actions `{ search, resize, forward, back, reload, open }`
 */
export function devicesView({ list, live, nowMs, actions }) {
  return html`
    <form class="search" role="search" @submit=${(event) => submitSearch(event, actions)}>
      <label for="match">Id begins with</label>
      <input
        id="match"
        name="match"
        type="search"
        autocomplete="off"
        spellcheck="false"
        maxlength="256"
        @search=${(event) => event.target.value === '' && list.match !== '' && actions.search('')}
      />
      <button type="submit">Search</button>
      <label for="limit" class="push">Rows</label>
      <select id="limit" @change=${(event) => actions.resize(Number(event.target.value))}>
        ${PAGE_SIZES.map((size) => html`<option value=${size} ?selected=${size === list.limit}>${size}</option>`)}
      </select>
    </form>
    ${latestChanges(live.latest(), nowMs)} ${errorNotice(list, actions)} ${content(list, live, nowMs)}
    ${corruptNotice(list)}
    <div class="pager">
      <button type="button" ?disabled=${list.cursors.length === 1 || list.isLoading} @click=${actions.back}>
        Previous
      </button>
      <span>Page ${list.cursors.length}</span>
      <button type="button" ?disabled=${list.next === undefined || list.isLoading} @click=${actions.forward}>
        Next
      </button>
      ${list.isLoading ? html`<span class="hint">Loading…</span>` : nothing}
    </div>
  `
}

function submitSearch(event, actions) {
  event.preventDefault()
  actions.search(new FormData(event.target).get('match'))
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
              <span class="hint">${kind} ${ago(new Date(atMs).toISOString(), nowMs)}</span>
            </li>
          `,
        )}
      </ul>
    </div>
  `
}

function errorNotice(list, actions) {
  if (list.error === undefined) return nothing
  return html`
    <div class="notice" role="alert">
      <p>The devices could not be loaded. ${list.error}</p>
      <button type="button" @click=${actions.reload}>Try again</button>
    </div>
  `
}

function content(list, live, nowMs) {
  if (list.rows.length === 0 && (list.error !== undefined || list.corrupt.size > 0)) return nothing
  if (list.rows.length === 0) return html`<p class="empty">${whyEmpty(list)}</p>`
  return html`
    <div class="scroll" role="region" aria-label="Devices" tabindex="0">
      <table class="stacked" role="table" aria-busy=${list.isLoading}>
        <caption class="hidden">
          Devices${list.match === '' ? '' : ` whose id begins with ${list.match}`}, page
          ${list.cursors.length}
        </caption>
        <thead role="rowgroup">
          <tr role="row">
            <th scope="col" role="columnheader" class="alone">Device</th>
            <th scope="col" role="columnheader">Type</th>
            <th scope="col" role="columnheader" class="wide">Type id</th>
            <th scope="col" role="columnheader" class="wide">Unit</th>
            <th scope="col" role="columnheader" class="wide">Persist</th>
            <th scope="col" role="columnheader">Updated</th>
            <th scope="col" role="columnheader">Expires in</th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${repeat(
            list.rows,
            ({ device }) => device.device_id,
            (row) => deviceRow(row, live.markOf(row.device.device_id, nowMs), nowMs),
          )}
        </tbody>
      </table>
    </div>
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

function whyEmpty(list) {
  if (list.isLoading) return 'Loading…'
  if (!list.isComplete) return 'No match so far. Next continues the search.'
  if (list.match !== '') return `No device has an id that begins with “${list.match}”.`
  return list.cursors.length === 1 ? 'There are no devices yet.' : 'There are no more devices.'
}

function deviceRow({ device, fetchedMs }, mark, nowMs) {
  const { device_id: id, last_updated: updated } = device
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
      <td role="cell">
        ${
          updated === null || updated === undefined
            ? '–'
            : html`<time datetime=${updated} title=${localTime(updated)}>${ago(updated, nowMs)}</time>`
        }
      </td>
      <td role="cell">${expiry(device.ttl, fetchedMs, nowMs)}</td>
    </tr>
  `
}

export function expiry(ttl, fetchedMs, nowMs) {
  if (ttl === null || ttl === undefined) return 'never'
  const left = ttl - (nowMs - fetchedMs) / 1000
  return left <= 0 ? 'expired' : span(left)
}

export function text(value) {
  if (value === null || value === undefined || value === '') return '–'
  if (Array.isArray(value)) return value.map((part) => text(part)).join(', ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}
