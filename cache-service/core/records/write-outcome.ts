import type { ServiceError } from '../../../shared/errors.ts'

/** What Redis answered for one device: its status, or an error that concerns this key alone. */
export type WriteStatus = 'changed' | 'unchanged' | 'stale' | { readonly refused: ServiceError }
export type DeleteStatus = 'deleted' | 'absent' | 'kept' | { readonly refused: ServiceError }

/** In the order of the plan's deletes and updates. */
export type WriteOutcome = {
  readonly deletes: readonly DeleteStatus[]
  readonly updates: readonly WriteStatus[]
}
