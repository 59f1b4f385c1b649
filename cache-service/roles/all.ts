import { openApi } from './api.ts'
import { openKvUpdater } from './kv-updater.ts'
import type { RoleContext } from './role-context.ts'
import { runWorkerWith } from './worker.ts'

/**
 * Worker, api and kv-updater in one process, for small sites: one set of metrics, one `/readyz`. What keeps one
 * of them from ever working ends all of them.
 */
export async function runAll(context: RoleContext): Promise<void> {
  await runWorkerWith(context, 'all', [openKvUpdater, openApi])
}
