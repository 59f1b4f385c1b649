import { html } from './vendor/lit-html/lit-html.js'
import { repeat } from './vendor/lit-html/directives/repeat.js'
import { ago, localTime } from './time.js'

/** @param view `{ latest, error }`, the newest dead letter first */
export function deadLettersView({ latest, error }, nowMs) {
  if (error !== undefined)
    return html`<p class="notice" role="alert">The dead letters could not be loaded. ${error}</p>`
  if (latest === undefined) return html`<p class="empty">Loading…</p>`
  if (latest.length === 0) return html`<p class="empty">The running workers report no dead letters.</p>`
  return html`
    <div class="scroll" role="region" aria-label="Dead letters" tabindex="0">
      <table class="stacked" role="table">
        <caption class="hidden">
          Records that could not be applied
        </caption>
        <thead role="rowgroup">
          <tr role="row">
            <th scope="col" role="columnheader">When</th>
            <th scope="col" role="columnheader">Reason</th>
            <th scope="col" role="columnheader" class="alone">Topic, partition, offset</th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${latest.map(
            ({ at, reason, topic, partition, offset }) => html`
              <tr role="row">
                <td role="cell"><time datetime=${at} title=${localTime(at)}>${ago(at, nowMs)}</time></td>
                <td role="cell"><code>${reason}</code></td>
                <td role="cell" class="alone id">${topic}, ${partition}, ${offset}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `
}

/** @param state `{ entries, error, marks }`; an entry is `[type, { updated, valid, values }]`, sorted by type */
export function stateView({ entries, error, marks }, nowMs) {
  if (error !== undefined)
    return html`<p class="notice" role="alert">The state could not be loaded. ${error}</p>`
  if (entries === undefined) return html`<p class="empty">Loading…</p>`
  if (entries.length === 0) return html`<p class="empty">Nothing has been published yet.</p>`
  return html`
    <ul class="entries">
      ${repeat(
        entries,
        ([type]) => type,
        ([type, value]) => html`
          <li data-mark=${nowMs - (marks.get(type) ?? 0) < 6_000 ? 'changed' : 'none'}>
            <details>
              <summary>
                <span class="id">${type}</span>
                ${nowMs - (marks.get(type) ?? 0) < 6_000 ? html`<span class="badge">changed</span>` : ''}
                <span class="hint">${facts(value, nowMs)}</span>
              </summary>
              <pre tabindex="0" aria-label=${`Value of ${type}`}>${JSON.stringify(value, null, 2)}</pre>
            </details>
          </li>
        `,
      )}
    </ul>
  `
}

function facts(value, nowMs) {
  if (value === null || typeof value !== 'object') return ''
  const { updated, valid } = value
  const when =
    typeof updated === 'string' && !Number.isNaN(Date.parse(updated)) ? `updated ${ago(updated, nowMs)}` : ''
  const validity = valid === true ? 'valid' : valid === false ? 'invalid' : ''
  return [when, validity].filter((part) => part !== '').join(', ')
}
