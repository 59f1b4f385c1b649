import { html, nothing } from './vendor/lit-html/lit-html.js'
import { repeat } from './vendor/lit-html/directives/repeat.js'
import { deadLetterCommands, replayReasonCommand } from './commands.js'
import { sum } from './sum.js'
import { count, number } from './time.js'
import { command, sourceNotice, when } from './ui.js'

/** @param health see health.js. @param list see held-list.js. @param copier see ui.js */
export function deadLettersView({ health, list, copier, nowMs, changed }) {
  const notice = sourceNotice('The dead letters', health.reports, nowMs)
  const workers = health.reports.data
  if (workers === undefined) return notice
  const latest = workers
    .flatMap(({ dead_letters, id }) => dead_letters.map((deadLetter) => ({ ...deadLetter, worker: id })))
    .toSorted((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0))
  const { entries, newer } = list.show(latest)
  const total = sum(workers.map((worker) => worker.dead_letters_total))
  const all = html`<p class="hint">
    The error topic has all of them, also those of earlier workers. On a machine with the settings of the
    service: ${command('cache-cli errors stats', copier)}
  </p>`
  const summary =
    latest.length === 0 && total === 0
      ? html`<p class="empty">The running workers have sent no dead letters since they started.</p>`
      : reasonTable(byReason(workers, latest), copier, nowMs)
  return html`
    ${notice} ${summary} ${all}
    ${
      total === 0 && entries.length === 0
        ? nothing
        : html`<h3 id="latest-dead-letters">The latest</h3>
            ${
              entries.length === 0
                ? html`<p class="empty">The workers report none of them.</p>`
                : latestList(entries, newer, { list, copier, nowMs, changed })
            }`
    }
  `
}

/** Workers of older releases report no counts: for them, the latest are counted. */
function byReason(workers, latest) {
  const counts = new Map()
  const add = (reason, more) => counts.set(reason, (counts.get(reason) ?? 0) + more)
  for (const { dead_letters: own, dead_letters_by_reason: reasons } of workers) {
    if (reasons !== undefined) for (const [reason, more] of Object.entries(reasons)) add(reason, more)
    else for (const { reason } of own) add(reason, 1)
  }
  for (const { reason } of latest) if (!counts.has(reason)) counts.set(reason, 1)
  return [...counts]
    .map(([reason, total]) => ({ reason, total, latest: latest.find((one) => one.reason === reason)?.at }))
    .toSorted((a, b) => b.total - a.total)
}

function reasonTable(reasons, copier, nowMs) {
  return html`
    <div class="scroll" role="region" aria-label="Dead letters by reason" tabindex="0">
      <table class="stacked" role="table">
        <caption class="hidden">
          Dead letters by reason, since the workers started
        </caption>
        <thead role="rowgroup">
          <tr role="row">
            <th scope="col" role="columnheader">Reason</th>
            <th scope="col" role="columnheader" class="number">Number</th>
            <th scope="col" role="columnheader">Latest</th>
            <th scope="col" role="columnheader" class="alone">When its cause is fixed</th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${reasons.map(({ latest, reason, total }) => {
            const line = replayReasonCommand(reason)
            return html`
              <tr role="row">
                <th scope="row" role="rowheader"><code>${reason}</code></th>
                <td role="cell" class="number">${number(total)}</td>
                <td role="cell">${when(latest, nowMs)}</td>
                <td role="cell" class="alone">${line === undefined ? '–' : command(line, copier)}</td>
              </tr>
            `
          })}
        </tbody>
      </table>
    </div>
  `
}

function latestList(entries, newer, { list, copier, nowMs, changed }) {
  return html`
    ${newer === 0 ? nothing : html`<p class="hint" role="status">${count(newer, 'newer dead letter')}: close the open ones to see the list move on.</p>`}
    <ul class="entries" aria-labelledby="latest-dead-letters">
      ${repeat(entries, list.keyOf, (deadLetter) => {
        const key = list.keyOf(deadLetter)
        const toggle = (event) => {
          list.toggle(key, event.target.open)
          changed()
        }
        return deadLetterEntry(deadLetter, { isOpen: list.isOpen(key), toggle, copier, nowMs })
      })}
    </ul>
    <p class="hint">${count(entries.length, 'dead letter')}; each worker reports its last 20.</p>
  `
}

function deadLetterEntry(deadLetter, { isOpen, toggle, copier, nowMs }) {
  const { at, message, offset, partition, reason, topic, worker } = deadLetter
  const lines = deadLetterCommands(deadLetter)
  return html`
    <li>
      <details ?open=${isOpen} @toggle=${toggle}>
        <summary>
          <code>${reason}</code> ${when(at, nowMs)}
          <span class="hint id">${topic}, partition ${partition}, offset ${offset}</span>
          ${message === undefined ? nothing : html`<span class="block message">${message}</span>`}
        </summary>
        ${
          lines === undefined
            ? nothing
            : html`<p>${command(lines.record, copier, 'What would happen to the record now')}</p>
                <p>${command(lines.list, copier, 'Its dead letter; errors show prints the record')}</p>
                <p>${command(`${lines.replay} --dry-run`, copier, 'What a replay would do')}</p>
                <p>${command(lines.replay, copier, 'Replay it to the cache')}</p>`
        }
        <p class="hint">Reported by ${worker}</p>
      </details>
    </li>
  `
}
