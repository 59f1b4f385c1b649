import { join } from 'node:path'

/** The absolute path of the repository root. */
export const repository = join(import.meta.dirname, '../..')
