import type { Device } from '../contract/api-types.ts'
import type { ApiTransport } from './transport.ts'
import { errorOfAnswer, UnexpectedAnswerError, type DeviceCacheError } from './errors.ts'
import type { LookupOutcome } from './lookup-flights.ts'
import { deviceShape, lookupShape, problemShape } from './response-shapes.ts'

/** Sends one request for at most 1000 ids. Rejects like ApiTransport. */
export async function sendLookup(
  transport: ApiTransport,
  ids: readonly string[],
  signal: AbortSignal,
  attemptFailed: (error: DeviceCacheError) => void,
): Promise<Map<string, LookupOutcome>> {
  const response = await transport.requestJson(
    { method: 'POST', path: 'api/devices/lookup', body: { ids }, signal, attemptFailed },
    lookupShape,
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
  try {
    return { kind: 'found', device: frozen(deviceShape(json, '$')) }
  } catch (cause) {
    return unexpected("The device does not match the API's schema", cause)
  }
}

function refused(json: unknown): LookupOutcome {
  try {
    const problem = problemShape(json, '$')
    return { kind: 'failed', error: errorOfAnswer(problem.status, { problem }), isOwn: true }
  } catch (cause) {
    return unexpected("The problem details do not match the API's schema", cause)
  }
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
