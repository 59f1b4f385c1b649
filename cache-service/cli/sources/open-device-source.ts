import type { DeviceSource } from './device-source.ts'
import type { Session } from '../session.ts'

/** Opens the API of `--api` or CACHE_API_URL, or otherwise Redis. */
export async function openDeviceSource(session: Session): Promise<DeviceSource> {
  const { api } = session
  if (api === undefined) {
    const { openRedisSource } = await import('./redis-source.ts')
    return await openRedisSource(session)
  }
  const { openApiSource } = await import('./api-source.ts')
  return openApiSource(session, api)
}
