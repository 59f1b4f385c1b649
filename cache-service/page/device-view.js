import { html, nothing } from './vendor/lit-html/lit-html.js'
import { deviceErrorsCommand, getCommand } from './commands.js'
import { hasPath } from './device-page.js'
import { expiry, text } from './device-values.js'
import { ago, count, localTime } from './time.js'
import { at, command, failure, sourceNotice } from './ui.js'

const VALUE_SHOWN = 200
const FIELDS_SHOWN = 12

/**
 * @param shown the opened device: see device-page.js
 * @param mayWrite whether the token allows deletion; undefined: not known yet
 * @param confirmDelete asks, and deletes it
 */
export function deviceView({ shown, mark, mayWrite, copier, nowMs, confirmDelete }) {
  const { history, id, source } = shown
  const { device, hash, reason, state } = source.data ?? {}
  return html`
    ${mark === undefined ? nothing : html`<p><span class="badge">${mark}</span> just now</p>`}
    ${sourceNotice('The device', source, nowMs)} ${stateNotice(state, reason)}
    ${device === undefined ? nothing : deviceFacts(device, source.atMs, nowMs)}
    ${deleteArea(shown, mayWrite, confirmDelete)}
    ${state === undefined || state === 'invalid' ? nothing : historyList(history, nowMs)}
    ${hash === undefined ? nothing : rawHash(hash, copier)}
    ${state === 'invalid' ? nothing : links(id, copier)}
  `
}

function stateNotice(state, reason) {
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

function deleteArea({ deleteError, id, isDeleting, source }, mayWrite, confirmDelete) {
  const canExist = source.data?.state === 'found' || source.data?.state === 'corrupt'
  if (mayWrite !== true || !canExist || !hasPath(id)) return nothing
  return html`
    ${deleteError === undefined ? nothing : failure('The device could not be deleted.', deleteError)}
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
                  ${at(atMs, nowMs)} ${kind}
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
