import { html, nothing } from './vendor/lit-html/lit-html.js'
import { number, span } from './time.js'
import { sourceNotice, when } from './ui.js'

const ROWS = 500
const STATES = {
  ok: 'Read',
  growing: 'Lag grows',
  standing: 'Makes no progress',
  no_consumer: 'No consumer',
  shared: 'Shared group',
  no_leader: 'No leader',
  unknown: 'Not known yet',
}

/** The consumer groups that a lag monitor measures; nothing if none runs. @param lag the source of `GET /api/lag` */
export function groupsView(lag, nowMs) {
  const notice = sourceNotice('The consumer groups', lag, nowMs)
  const groups = lag.data?.groups
  if (groups === undefined) return lag.error === undefined ? nothing : notice
  if (groups.length === 0) return nothing
  return html`
    <h3>Consumer groups</h3>
    ${notice} ${groups.map((group) => groupView(group, nowMs))}
  `
}

function groupView(
  { group, measured_at, members_total: members, problem, records, shared_with, topics },
  nowMs,
) {
  const rows = topics.flatMap(({ partitions, topic }) => partitions.map((one) => ({ ...one, topic })))
  return html`
    <h4 class="id">${group}</h4>
    <p class="hint">
      ${number(records)} behind, ${members === 1 ? '1 member' : `${number(members)} members`}, measured
      ${when(measured_at, nowMs)}
    </p>
    ${problem === null ? nothing : html`<p class="hint bad">${problem}</p>`}
    ${shared_with.map((member) => html`<p class="hint bad">Shared with ${member}</p>`)}
    ${topics.map(({ problem: text }) => (text === null ? nothing : html`<p class="hint bad">${text}</p>`))}
    ${rows.length === 0 ? nothing : partitionTable(group, rows, topics.length > 1)}
  `
}

function partitionTable(group, rows, hasSeveralTopics) {
  const title = `Lag of ${group} by partition`
  return html`
    <div class="scroll" role="region" aria-label=${title} tabindex="0">
      <table>
        <caption class="hidden">
          ${title}
        </caption>
        <thead>
          <tr>
            <th scope="col">Partition</th>
            <th scope="col">State</th>
            <th scope="col" class="number">Records behind</th>
            <th scope="col" class="number">Oldest unread</th>
            <th scope="col">Member</th>
          </tr>
        </thead>
        <tbody>
          ${rows.slice(0, ROWS).map((row) => partitionRow(row, hasSeveralTopics))}
        </tbody>
      </table>
    </div>
    ${rows.length > ROWS ? html`<p class="hint">The first ${number(ROWS)} of ${number(rows.length)} partitions.</p>` : nothing}
  `
}

function partitionRow(row, hasSeveralTopics) {
  const { deleted_unread, owner, partition, records, seconds, seconds_until_deleted, state, topic } = row
  const isFault = state !== 'ok' && state !== 'unknown'
  return html`
    <tr>
      <th scope="row">
        ${partition} ${hasSeveralTopics ? html`<span class="hint block">${topic}</span>` : nothing}
      </th>
      <td data-grade=${isFault ? 'bad' : state === 'ok' ? 'good' : nothing}>
        ${state === 'unknown' ? nothing : html`<span class="sign" aria-hidden="true"></span>`}
        ${STATES[state] ?? state}
        ${deleted_unread > 0 ? html`<span class="hint block bad">${number(deleted_unread)} deleted unread</span>` : nothing}
      </td>
      <td class="number">${records === null ? '–' : number(records)}</td>
      <td class="number">
        ${seconds === null || records === 0 ? '–' : span(seconds)}
        ${
          isFault && seconds_until_deleted !== null
            ? html`<span class="hint block">kept for ${span(seconds_until_deleted)}</span>`
            : nothing
        }
      </td>
      <td><span class="id">${owner ?? '–'}</span></td>
    </tr>
  `
}
