import { usageError } from '../cli-error.ts'
import type { DeviceSource } from './device-source.ts'
import type { Session } from '../session.ts'

/** An API with `--api`, else Redis itself. */
export async function openSource(session: Session): Promise<DeviceSource> {
  const { api, tokenFile } = session.options
  if (api === undefined) {
    if (tokenFile !== undefined) throw usageError('--token-file is for an API: give --api as well')
    const { openRedisSource } = await import('./redis-source.ts')
    return await openRedisSource(session)
  }
  const { openApiSource } = await import('./api-source.ts')
  return openApiSource(session, api)
}
