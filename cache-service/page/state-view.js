import { html, nothing } from './vendor/lit-html/lit-html.js'
import { repeat } from './vendor/lit-html/directives/repeat.js'
import { ago, number } from './time.js'
import { filterBox, sourceNotice } from './ui.js'

const ROWS = 100
const MARKED_MS = 6_000

/** @param state see state.js. @param open the types whose values are shown */
export function stateView({ state, open, nowMs, changed }) {
  const { filter, types } = state
  const notice = sourceNotice('The state', state.source, nowMs)
  if (types === undefined) return notice
  if (types.length === 0)
    return html`${notice}
      <p class="empty">
        Nothing has been published yet. A service publishes to the update channel of Redis, and the kv-updater
        stores what it publishes.
      </p>`
  const matching = types.filter((type) => type.includes(filter))
  return html`
    ${notice}
    <div class="search">
      ${filterBox('Type contains', state, changed)}
      <span class="hint">${number(matching.length)} of ${number(types.length)}</span>
    </div>
    ${matching.length === 0 ? html`<p class="empty">No type contains “${filter}”.</p>` : entryList(matching, { state, open, nowMs, changed })}
    ${matching.length > ROWS ? html`<p class="hint">The first ${number(ROWS)} are shown. Type a part of the name to see others.</p>` : nothing}
  `
}

function entryList(types, { state, open, nowMs, changed }) {
  return html`
    <ul class="entries" aria-label="Key-values">
      ${repeat(
        types.slice(0, ROWS),
        (type) => type,
        (type) => {
          const isMarked = nowMs - (state.changedMs(type) ?? -Infinity) < MARKED_MS
          const toggle = (event) => {
            if (event.target.open) open.add(type)
            else open.delete(type)
            changed()
          }
          return html`
            <li data-mark=${isMarked ? 'changed' : 'none'}>
              <details ?open=${open.has(type)} @toggle=${toggle}>
                <summary>
                  <span class="id">${type}</span>
                  ${isMarked ? html`<span class="badge">changed</span>` : nothing}
                  <span class="hint">${facts(state.valueOf(type), nowMs)}</span>
                </summary>
                ${open.has(type) ? html`<pre tabindex="0" aria-label=${`Value of ${type}`}>${JSON.stringify(state.valueOf(type), null, 2)}</pre>` : nothing}
              </details>
            </li>
          `
        },
      )}
    </ul>
  `
}

function facts(value, nowMs) {
  if (value === null || typeof value !== 'object') return ''
  const { updated, valid } = value
  const isTime = typeof updated === 'string' && !Number.isNaN(Date.parse(updated))
  const validity = valid === true ? 'valid' : valid === false ? 'invalid' : ''
  return [isTime ? `updated ${ago(updated, nowMs)}` : '', validity].filter((part) => part !== '').join(', ')
}
