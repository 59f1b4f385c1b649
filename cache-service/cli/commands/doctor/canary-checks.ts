import { DeviceCacheClient } from '../../../../shared/client/client.ts'
import { ForbiddenError, UnauthorizedError } from '../../../../shared/client/errors.ts'
import { messageOf } from '../../../../shared/errors.ts'
import type { CanaryConfig } from '../../../config/config.ts'
import type { Finding } from '../../../core/doctor.ts'

/** Checks that the API through which the canary must arrive answers. Whether it serves the device does not matter. */
export async function checkCanaryApi({ api, deviceId }: CanaryConfig): Promise<Finding[]> {
  if (api === undefined) return []
  const found = { area: 'api', check: `CANARY_API_URL ${api.url}` } as const
  const client = new DeviceCacheClient({ baseUrl: api.url, token: api.token, retries: 0 })
  try {
    const device = await client.get(deviceId)
    const detail = `it ${device === undefined ? 'does not have' : 'serves'} the device ${deviceId}`
    return [{ ...found, verdict: 'ok', detail }]
  } catch (error) {
    const isRefused = error instanceof UnauthorizedError || error instanceof ForbiddenError
    const fix = isRefused
      ? 'Set CANARY_API_TOKEN to a token with the scope read.'
      : 'Correct CANARY_API_URL, or start the API.'
    return [{ ...found, verdict: 'failed', detail: messageOf(error), fix }]
  } finally {
    await client.close()
  }
}
