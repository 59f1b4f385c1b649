import { html, nothing } from './vendor/lit-html/lit-html.js'
import { byteSize, number, span } from './time.js'
import { sourceNotice, when } from './ui.js'

/** @param redis the source of `GET /api/redis`; `recentHitRate` is that of the time since this page was opened. */
export function redisView({ redis, recentHitRate, nowMs }) {
  const notice = sourceNotice('The state of Redis', redis, nowMs)
  if (redis.data === undefined) return notice
  const { clients, keys, lookups, memory, persistence } = redis.data
  return html`
    ${notice}
    <div class="panels">
      ${panel('Server', serverRows(redis.data))} ${panel('Memory', memoryRows(memory))}
      ${panel('Lookups', [
        ['Hit rate since this page was opened', percent(recentHitRate)],
        ['Hit rate since Redis started', percent(lookups.hit_rate)],
        ['Hits', known(lookups.hits_total, number)],
        ['Misses', known(lookups.misses_total, number)],
        ['Commands per second', known(redis.data.commands_per_second, number)],
      ])}
      ${panel('Keys', [
        ['In all databases', known(keys.total, number)],
        ['Expired', known(keys.expired_total, number)],
        [
          'Evicted',
          known(keys.evicted_total, number),
          keys.evicted_total > 0 ? 'Devices may be among them.' : undefined,
        ],
      ])}
      ${panel('Clients', [
        ['Connected', known(clients.connected, number)],
        ['Maximum', known(clients.max, number)],
        ['Blocked', known(clients.blocked, number)],
        [
          'Refused',
          known(clients.rejected_total, number),
          clients.rejected_total > 0 ? 'Raise maxclients.' : undefined,
        ],
      ])}
      ${panel('Persistence', persistenceRows(persistence, nowMs))}
    </div>
  `
}

function serverRows({
  connected_replicas: replicas,
  masters,
  mode,
  product,
  role,
  uptime_s: uptime,
  version,
}) {
  const silent = (masters ?? []).filter(({ answers }) => !answers)
  return [
    ['Version', `${product === 'valkey' ? 'Valkey' : 'Redis'} ${version}`],
    ['Mode', known(mode)],
    [
      'Role',
      role === 'slave' ? 'replica' : known(role),
      role === 'slave' ? 'The workers cannot write to a replica.' : undefined,
    ],
    ...(masters
      ? [
          [
            'Masters',
            number(masters.length),
            silent.length === 0
              ? undefined
              : `Without an answer: ${silent.map(({ address }) => address).join(', ')}. The figures leave them out.`,
          ],
        ]
      : []),
    ['Replicas', known(replicas, number)],
    ['Running for', known(uptime, span)],
  ]
}

function memoryRows({
  eviction_policy: policy,
  max_bytes: max,
  peak_bytes: peak,
  resident_bytes: resident,
  used_bytes: used,
}) {
  const share = max > 0 && used !== null ? used / max : undefined
  return [
    [
      'Used',
      html`${known(used, byteSize)}${
        share === undefined
          ? nothing
          : html` (${percent(share)})
              <meter
                min="0"
                max="1"
                high="0.8"
                value=${share}
                aria-label="Share of the memory limit"
              ></meter>`
      }`,
      share > 0.9 ? 'At the limit the workers hold.' : undefined,
    ],
    ['Limit', max === 0 ? 'none' : known(max, byteSize)],
    [
      'Eviction policy',
      known(policy),
      policy === null || policy === 'noeviction'
        ? undefined
        : 'Redis may silently delete devices: set noeviction.',
    ],
    ['Peak', known(peak, byteSize)],
    ['Resident', known(resident, byteSize)],
  ]
}

function persistenceRows(persistence, nowMs) {
  const { append_only_file: aof, append_only_file_ok: aofOk, changes_since_snapshot: changes } = persistence
  const { last_snapshot_at: snapshotAt, loading, snapshot_ok: snapshotOk } = persistence
  return [
    [
      'Loading',
      loading === null ? 'unknown' : loading ? 'yes' : 'no',
      loading ? 'Redis does not answer until it has loaded its data.' : undefined,
    ],
    [
      'Append-only file',
      aof === null ? 'unknown' : aof ? 'on' : 'off',
      aof && aofOk === false ? 'Its last write failed.' : undefined,
    ],
    [
      'Last snapshot',
      when(snapshotAt, nowMs),
      snapshotOk === false
        ? 'The last attempt failed: with stop-writes-on-bgsave-error, Redis refuses writes.'
        : undefined,
    ],
    ['Changes since then', known(changes, number)],
  ]
}

/** @param rows `[name, value, warning]` */
function panel(title, rows) {
  return html`
    <section class="panel" aria-label=${title}>
      <h3>${title}</h3>
      <dl>
        ${rows.map(
          ([name, value, warning]) => html`
            <dt>${name}</dt>
            <dd>
              ${value}
              ${warning === undefined ? nothing : html`<span class="hint block bad">${warning}</span>`}
            </dd>
          `,
        )}
      </dl>
    </section>
  `
}

function known(value, format = String) {
  return value === null || value === undefined ? 'unknown' : format(value)
}

function percent(share) {
  return share === null || share === undefined ? 'no lookups' : `${number(share * 100, 1)} %`
}
