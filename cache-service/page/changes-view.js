import { html, nothing } from './vendor/lit-html/lit-html.js'
import { repeat } from './vendor/lit-html/directives/repeat.js'
import { deviceLink } from './route.js'
import { count, number } from './time.js'
import { at, filterBox } from './ui.js'

const ROWS = 200
const LABELS = { changed: 'changed', deleted: 'deleted', set: 'set', more: 'changed', missed: 'missed' }

/** @param log see change-log.js */
export function changesView({ log, live, nowMs, changed }) {
  const matching = log.shown.filter(
    ({ id, kind }) => log.filter === '' || (kind !== 'more' && id.includes(log.filter)),
  )
  return html`
    <div class="search">
      ${filterBox('Id contains', log, changed)}
      <button
        type="button"
        class="push"
        aria-pressed=${String(log.isPaused)}
        @click=${() => {
          if (log.isPaused) log.resume()
          else log.pause()
          changed()
        }}
      >
        ${log.isPaused ? 'Paused' : 'Pause'}
      </button>
    </div>
    ${log.isPaused ? html`<p class="hint" role="status">Paused: ${count(log.waiting, 'newer change')}.</p>` : nothing}
    ${matching.length === 0 ? html`<p class="empty">${whyEmpty(log, live)}</p>` : changeTable(matching, nowMs)}
  `
}

function whyEmpty(log, live) {
  if (log.shown.length > 0) return `No change of an id that contains “${log.filter}”.`
  return live === 'live'
    ? 'No changes since this page was opened. They appear here as they happen.'
    : 'Connecting to the event stream…'
}

function changeTable(entries, nowMs) {
  return html`
    <div class="scroll" role="region" aria-label="Changes" tabindex="0">
      <table>
        <caption class="hidden">
          Changes, newest first
        </caption>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Change</th>
            <th scope="col">Device or type</th>
          </tr>
        </thead>
        <tbody>
          ${repeat(
            entries.slice(0, ROWS),
            ({ key }) => key,
            ({ atMs, id, kind }) => html`
              <tr>
                <td>${at(atMs, nowMs)}</td>
                <td>${LABELS[kind]}</td>
                <td>${subject(kind, id)}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
    ${entries.length > ROWS ? html`<p class="hint">The newest ${number(ROWS)} of ${number(entries.length)}.</p>` : nothing}
  `
}

function subject(kind, id) {
  switch (kind) {
    case 'set':
      return html`<a class="id" href="#state">${id}</a> <span class="hint">type of the state</span>`
    case 'more':
      return html`<span class="hint">${count(id, 'further device')}, which the event does not name</span>`
    case 'missed':
      return html`<span class="hint"
        >Changes may be missing here (reason: ${id}); everything was loaded again</span
      >`
    default:
      return html`<a class="id" href=${deviceLink(id)}>${id}</a>`
  }
}
