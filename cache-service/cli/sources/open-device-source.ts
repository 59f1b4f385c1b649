import { usageError } from '../cli-error.ts'
import type { DeviceSource } from './device-source.ts'
import type { Session } from '../session.ts'

/** Opens the API of `--api`, or otherwise Redis. */
export async function openDeviceSource(session: Session): Promise<DeviceSource> {
  const { api, tokenFile } = session.options
  if (api === undefined) {
    if (tokenFile !== undefined) throw usageError('--token-file is only used with --api: add --api')
    const { openRedisSource } = await import('./redis-source.ts')
    return await openRedisSource(session)
  }
  const { openApiSource } = await import('./api-source.ts')
  return openApiSource(session, api)
}
