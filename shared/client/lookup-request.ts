import { isObject } from '../json.ts'
import { z } from 'zod'
import { deviceSchema, problemSchema, type Device } from '../contract/api-schemas.ts'
import type { ApiTransport } from './transport.ts'
import { errorOfAnswer, UnexpectedAnswerError, type DeviceCacheError } from './errors.ts'
import type { LookupOutcome } from './lookup-flights.ts'

// Like lookupSchema, but each device is validated by itself, so that one invalid device does not affect the others. An id
// may be any text, including `__proto__`.
const envelopeSchema = z.object({
  found: z.custom<object>(isObject),
  missing: z.array(z.string()),
  errors: z.custom<object>(isObject),
  complete: z.boolean(),
})

/** Sends one request for at most 1000 ids. Rejects like ApiTransport. */
export async function sendLookup(
  transport: ApiTransport,
  ids: readonly string[],
  signal: AbortSignal,
  attemptFailed: (error: DeviceCacheError) => void,
): Promise<Map<string, LookupOutcome>> {
  const response = await transport.requestJson(
    { method: 'POST', path: 'api/devices/lookup', body: { ids }, signal, attemptFailed },
    envelopeSchema,
  )
  const outcomes = new Map<string, LookupOutcome>()
  for (const id of ids) outcomes.set(id, unexpected('The response does not contain this id'))
  if (response === undefined) return outcomes
  const absent: LookupOutcome = { kind: response.complete ? 'missing' : 'rebuilding' }
  for (const id of response.missing) outcomes.set(id, absent)
  for (const [id, problem] of Object.entries(response.errors)) outcomes.set(id, refused(problem))
  for (const [id, device] of Object.entries(response.found)) outcomes.set(id, found(device))
  return outcomes
}

function found(json: unknown): LookupOutcome {
  const checked = deviceSchema.safeParse(json)
  return checked.success
    ? { kind: 'found', device: frozen(checked.data) }
    : unexpected("The device does not match the API's schema", checked.error)
}

function refused(json: unknown): LookupOutcome {
  const checked = problemSchema.safeParse(json)
  if (!checked.success) return unexpected("The problem details do not match the API's schema", checked.error)
  const problem = checked.data
  return { kind: 'failed', error: errorOfAnswer(problem.status, { problem }), isOwn: true }
}

function unexpected(message: string, cause?: unknown): LookupOutcome {
  return { kind: 'failed', error: new UnexpectedAnswerError(message, { cause }), isOwn: true }
}

/** Frozen because several callers receive the same object. */
function frozen(device: Device): Device {
  Object.freeze(device.extra)
  freezeDeeply(device.datatype_unit)
  freezeDeeply(device.persist)
  return Object.freeze(device)
}

function freezeDeeply(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const part of Object.values(value)) freezeDeeply(part)
}
