import { invalidPart } from './examples.ts'
import type { OperationDocs } from './operation-docs.ts'

const PRICES = { updated: '2026-11-21T09:00:00Z', valid: true, values: { gas: 12.5 } }
const EVENT_ID = '1763717361703-0.1763717362104-3'

/** State and events. Event ids are positions in two streams, `<update>.<device>`; clients only send them back. */
export const STATE_DOCS: Readonly<Record<string, OperationDocs>> = {
  getAllState: {
    description:
      'To follow the changes without missing one, read the state, then follow the events from its `last_event_id`.',
    replies: {
      200: {
        description: 'The value of every type.',
        example: { state: { prices: PRICES }, last_event_id: EVENT_ID },
      },
    },
  },
  getState: {
    description: 'The answer has the form of `GET /api/state`, with one type.',
    parameters: { type: 'prices' },
    replies: {
      200: {
        description: 'The value of this type alone.',
        example: { state: { prices: PRICES }, last_event_id: EVENT_ID },
      },
    },
    problems: { not_found: { detail: 'There is no value of this type.' } },
  },
  followEvents: {
    parameters: { events: 'update,device' },
    headers: {
      'Last-Event-ID': `The \`id:\` of the last event that was received, such as \`${EVENT_ID}\`. Browsers send it by themselves.`,
    },
    replies: {
      200: {
        description: [
          'The events, until the client or the server closes the connection.',
          'The data of each is JSON: `UpdateEvent`, `DeviceEvent` and `ResetEvent` below; `{}` for `ping`.',
        ].join(' '),
        examples: {
          update: frame('update', { type: 'prices', ...PRICES }),
          device: frame('device', { change: 'changed', device_ids: ['282c02014911'], more: 0 }),
          reset: frame('reset', { streams: ['update'], reason: 'position_unknown' }),
          ping: frame('ping', {}),
        },
      },
    },
    problems: invalidPart('querystring', '/events', 'must be update or device, or both, comma-separated'),
  },
}

function frame(event: string, data: object): string {
  return `id: ${EVENT_ID}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}
