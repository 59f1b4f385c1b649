import { html, nothing, render } from './vendor/lit-html/lit-html.js'
import { expiry, text } from './devices-view.js'
import { ago, localTime } from './time.js'

/** One device in a native dialog, which traps the focus, restores it, and closes on Escape. */
export function createDeviceDialog(dialog, { api, live, announce }) {
  let shown
  let copied = ''

  dialog.addEventListener('close', () => {
    shown = undefined
    if (location.hash.startsWith('#device=')) history.replaceState(null, '', '#devices')
  })
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close()
  })

  async function load(id) {
    const path = `/api/devices/${encodeURIComponent(id)}`
    // For a corrupt device the hash is all there is to show.
    const [device, hash] = await Promise.allSettled([api.ask(path), api.ask(`${path}/hash`)])
    if (shown?.id === id) {
      const error = device.reason === undefined ? undefined : reasonText(device.reason)
      shown = { id, device: device.value, hash: hash.value, error, fetchedMs: Date.now() }
    }
    draw(Date.now())
  }

  async function copy(json) {
    copied = (await toClipboard(json, dialog)) ? 'Copied' : 'The browser does not allow copying'
    announce(copied)
    draw(Date.now())
  }

  function draw(nowMs) {
    if (shown === undefined) return
    const mark = live.markOf(shown.id, nowMs)
    render(deviceView(shown, { mark, nowMs, copied, copy, close: () => dialog.close() }), dialog)
  }

  return {
    draw,
    shownId: () => shown?.id,
    open(id) {
      shown = { id }
      copied = ''
      draw(Date.now())
      if (!dialog.open) dialog.showModal()
      history.replaceState(null, '', `#device=${encodeURIComponent(id)}`)
      return load(id)
    },
    /** Loads the shown device again, after a change. */
    reload: () => (shown === undefined ? Promise.resolve() : load(shown.id)),
  }
}

function deviceView(shown, { mark, nowMs, copied, copy, close }) {
  return html`
    <div class="heading">
      <h2 id="device-title" class="id">${shown.id}</h2>
      <button type="button" class="quiet" @click=${close}>Close</button>
    </div>
    ${mark === undefined ? nothing : html`<p><span class="badge">${mark}</span> just now</p>`}
    ${shown.error === undefined ? nothing : html`<p class="notice" role="alert">${shown.error}</p>`}
    ${shown.fetchedMs === undefined ? html`<p class="empty">Loading…</p>` : nothing}
    ${shown.device === undefined ? nothing : deviceFacts(shown.device, shown.fetchedMs, { mark, nowMs })}
    ${shown.hash === undefined ? nothing : rawHash(shown.hash, { copied, copy })}
  `
}

function reasonText(error) {
  return error.status === 404 ? 'This device is not in the cache.' : error.message
}

function deviceFacts(device, fetchedMs, { mark, nowMs }) {
  const { last_updated: updated } = device
  const row = (name, value) => html`
    <tr>
      <th scope="row">${name}</th>
      <td class="id">${text(value)}</td>
      <td class="hint">${typeOf(value)}</td>
    </tr>
  `
  return html`
    <table data-mark=${mark ?? nothing}>
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
        ${Object.entries(device.extra ?? {}).map(([name, value]) => row(name, value))}
        <tr>
          <th scope="row">last_updated</th>
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
      </tbody>
    </table>
  `
}

/** The hash exactly as Redis holds it. */
function rawHash(hash, { copied, copy }) {
  const json = JSON.stringify(hash, null, 2)
  return html`
    <div class="heading">
      <h3>Raw hash</h3>
      <button type="button" class="quiet" @click=${() => copy(json)}>Copy</button>
      <span class="hint" role="status">${copied}</span>
    </div>
    <pre tabindex="0" aria-label="Raw hash">${json}</pre>
  `
}

function typeOf(value) {
  if (value === null || value === undefined) return 'absent'
  if (Array.isArray(value)) return value.length === 1 ? 'list of 1' : `list of ${value.length}`
  return typeof value === 'string' ? 'text' : typeof value
}

/** Browsers allow the clipboard API only on https and localhost; elsewhere execCommand still works. */
async function toClipboard(value, within) {
  if (navigator.clipboard !== undefined) {
    try {
      await navigator.clipboard.writeText(value)
      return true
    } catch {
      // Not allowed: fall back to execCommand.
    }
  }
  const field = document.createElement('textarea')
  field.value = value
  field.className = 'hidden'
  within.append(field)
  field.select()
  const done = document.execCommand('copy')
  field.remove()
  return done
}
