import type { ServiceError } from '../../../shared/errors.ts'

/**
 * Redis's reply for one device: its status, or an error that concerns only this key. An update can expire while its chunk is
 * held.
 */
export type WriteStatus = 'changed' | 'unchanged' | 'stale' | 'expired' | { readonly refused: ServiceError }
export type DeleteStatus = 'deleted' | 'absent' | 'kept' | { readonly refused: ServiceError }

/** One status per delete and update of the plan, in the plan's order. */
export type WriteOutcome = {
  readonly deletes: readonly DeleteStatus[]
  readonly updates: readonly WriteStatus[]
}
