import { expect, onTestFinished, test, vi } from 'vitest'
import { DeviceCacheClient } from '../../../../shared/client/client.ts'
import { DeviceFinder } from '../../../../shared/client/device-finder.ts'
import { eventually } from '../../../support/eventually.ts'

const EVENTS = [
  'event: ping\nid: 0-0.1-0\ndata: {}\n\n',
  'event: device\nid: 0-0.2-0\ndata: {"change":"changed","device_ids":["d"],"more":0}\n\n',
  'event: reset\nid: 0-0.3-0\ndata: {"streams":["device"],"reason":"position_lost"}\n\n',
  'event: device\nid: 0-0.4-0\ndata: {"change":"changed","device_ids":["last"],"more":0}\n\n',
]

test('each event of the stream that keeps the near cache fresh is applied once', async () => {
  const applied = vi.spyOn(DeviceFinder.prototype, 'applyEvent')
  onTestFinished(() => applied.mockRestore())
  const client = new DeviceCacheClient({
    baseUrl: 'http://localhost',
    nearCache: true,
    fetch: async (url) => {
      if (!String(url).includes('/api/events'))
        return Response.json({ found: {}, missing: ['d'], errors: {}, complete: true })
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new TextEncoder().encode(EVENTS.join(''))),
      })
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    },
  })
  onTestFinished(() => client.close())
  await client.get('d')
  const last = expect.objectContaining({ deviceIds: ['last'] })
  await eventually(() => expect(applied).toHaveBeenCalledWith(last))
  expect(applied.mock.calls.map(([{ kind }]) => kind).slice(0, 3)).toEqual(['device', 'reset', 'device'])
})
