import { html, nothing } from './vendor/lit-html/lit-html.js'
import { deviceErrorsCommand, getCommand } from './commands.js'
import { expiry, text } from './devices-view.js'
import { ago, clockTime, count, localTime } from './time.js'
import { command } from './ui.js'

const VALUE_SHOWN = 200
const FIELDS_SHOWN = 12

/**
 * @param page see device-page.js
 * @param mayWrite whether the token allows deletion; undefined: not known yet
 * @param actions `{ retry, confirmDelete }`
 */
export function deviceView({ page, mark, mayWrite, copier, nowMs, actions }) {
  return html`
    ${mark === undefined ? nothing : html`<p><span class="badge">${mark}</span> just now</p>`}
    ${failureNotice(page, nowMs, actions)} ${stateNotice(page)}
    ${page.device === undefined ? nothing : deviceFacts(page.device, page.atMs, nowMs)}
    ${deleteArea(page, mayWrite, actions)}
    ${page.state === 'loading' || page.state === 'invalid' ? nothing : historyList(page.history, nowMs)}
    ${page.hash === undefined ? nothing : rawHash(page.hash, copier)}
    ${page.state === 'invalid' ? nothing : links(page.id, copier)}
  `
}

function failureNotice({ atMs, error, state }, nowMs, { retry }) {
  if (error === undefined) return state === 'loading' ? html`<p class="empty">Loading…</p>` : nothing
  if (atMs !== undefined)
    return html`<p class="hint stale-hint">Last loaded at ${clockTime(atMs, nowMs)}. ${error.message}</p>`
  return html`
    <div class="notice" role="alert">
      <p>The device could not be loaded. ${error.message}</p>
      <button type="button" @click=${retry}>Try again</button>
    </div>
  `
}

function stateNotice({ reason, state }) {
  switch (state) {
    case 'corrupt':
      return html`<div class="notice" role="alert">
        <p><strong>Redis holds corrupt data for this device.</strong> ${reason}</p>
        <p>
          Another program has written it. The next record of the device repairs it; deleting it also helps.
        </p>
      </div>`
    case 'missing':
      return html`<p class="empty">
        This device is not in the cache: it has never sent a valid record, it has expired, or it was deleted.
      </p>`
    case 'rebuilding':
      return html`<p class="empty">This device is not in the cache yet: a rebuild is in progress.</p>`
    case 'invalid':
      return html`<p class="notice" role="alert">This is not a device id. ${reason}</p>`
    default:
      return nothing
  }
}

function deviceFacts(device, fetchedMs, nowMs) {
  const { last_updated: updated } = device
  const row = (name, value) => html`
    <tr>
      <th scope="row" class="id">${name}</th>
      <td class="id">${text(value)}</td>
      <td class="hint">${typeOf(value)}</td>
    </tr>
  `
  return html`
    <div class="scroll">
      <table class="facts">
        <caption class="hidden">
          Metadata
        </caption>
        <thead>
          <tr>
            <th scope="col">Field</th>
            <th scope="col">Value</th>
            <th scope="col">Type</th>
          </tr>
        </thead>
        <tbody>
          ${row('datatype_id', device.datatype_id)} ${row('datatype_name', device.datatype_name)}
          ${row('datatype_unit', device.datatype_unit)} ${row('persist', device.persist)}
          <tr>
            <th scope="row" class="id">last_updated</th>
            <td>
              ${
                updated === null || updated === undefined
                  ? '–'
                  : html`<time datetime=${updated}>${localTime(updated)}</time>, ${ago(updated, nowMs)}`
              }
            </td>
            <td class="hint">time</td>
          </tr>
          <tr>
            <th scope="row">Expires in</th>
            <td>${expiry(device.ttl, fetchedMs, nowMs)}</td>
            <td></td>
          </tr>
          ${Object.entries(device.extra ?? {}).map(([name, value]) => row(name, value))}
        </tbody>
      </table>
    </div>
  `
}

function deleteArea({ deleteError, id, isDeleting, state }, mayWrite, { confirmDelete }) {
  if (deleteError !== undefined)
    return html`<p class="notice" role="alert">It could not be deleted. ${deleteError.message}</p>`
  const canExist = state === 'found' || state === 'corrupt'
  if (mayWrite !== true || !canExist || id === '.' || id === '..') return nothing
  return html`
    <p>
      <button type="button" class="danger" ?disabled=${isDeleting} @click=${confirmDelete}>
        ${isDeleting ? 'Deleting…' : 'Delete this device…'}
      </button>
    </p>
  `
}

function historyList(history, nowMs) {
  return html`
    <h3 id="history-title">While this page was open</h3>
    ${
      history.length === 0
        ? html`<p class="empty">No change yet.</p>`
        : html`<ol class="entries" aria-labelledby="history-title">
            ${history.map(
              ({ atMs, fields, kind }) => html`
                <li>
                  <time datetime=${new Date(atMs).toISOString()}>${clockTime(atMs, nowMs)}</time> ${kind}
                  ${
                    fields.length === 0
                      ? nothing
                      : html`<ul class="fields">
                          ${fields.slice(0, FIELDS_SHOWN).map(fieldChange)}
                          ${fields.length > FIELDS_SHOWN ? html`<li class="hint">and ${count(fields.length - FIELDS_SHOWN, 'further field')}</li>` : nothing}
                        </ul>`
                  }
                </li>
              `,
            )}
          </ol>`
    }
  `
}

function fieldChange({ after, before, name }) {
  const shown = (value) =>
    value === undefined
      ? html`<span class="hint">absent</span>`
      : html`<span class="id"
          >${value.length > VALUE_SHOWN ? `${value.slice(0, VALUE_SHOWN)}…` : value}</span
        >`
  return html`<li><span class="id">${name}</span>: ${shown(before)} → ${shown(after)}</li>`
}

/** The hash exactly as Redis holds it. */
function rawHash(hash, { copied, copy }) {
  const json = JSON.stringify(hash, null, 2)
  return html`
    <div class="heading">
      <h3>Raw hash</h3>
      <button type="button" class="quiet small" @click=${() => copy(json)}>
        ${copied() === json ? 'Copied' : 'Copy'}
      </button>
    </div>
    <pre tabindex="0" aria-label="Raw hash">${json}</pre>
  `
}

function links(id, copier) {
  return html`
    <h3>In a shell</h3>
    <p>${command(getCommand(id), copier, 'Read it')}</p>
    <p>${command(deviceErrorsCommand(id), copier, 'Its dead letters')}</p>
    <p>${command(location.href, copier, 'Link to this page')}</p>
  `
}

function typeOf(value) {
  if (value === null || value === undefined) return 'absent'
  if (Array.isArray(value)) return value.length === 1 ? 'list of 1' : `list of ${value.length}`
  return typeof value === 'string' ? 'text' : typeof value
}
