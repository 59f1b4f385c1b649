import { z } from 'zod'

/**
 * The messages that the platform's services exchange over Kafka: ValidatedOutput (from the normalizer) and ErrorMessage
 * (dead letters). Unknown fields are accepted everywhere, as other services may add some.
 */

/** A number is accepted in place of a string; an object is not. */
const text = z.union([z.string(), z.number()]).nullish()

export const metadataSchema = z.object({
  datatype_id: text,
  datatype_name: text,
  datatype_unit: z.union([z.string(), z.number(), z.array(z.unknown())]).nullish(),
  persist: z.union([z.boolean(), z.array(z.boolean())]).nullish(),
})

/** `device_id` and `timestamp` are validated further by their own parsers. */
export const validatedOutputSchema = z.object({
  request_id: z.string().nullish(),
  timestamp: z.string().nullish(),
  device_id: z.string(),
  metadata: metadataSchema.nullish(),
})

export type ValidatedOutput = z.infer<typeof validatedOutputSchema>

export const errorMessageSchema = z.object({
  request_id: z.string(),
  /** ISO 8601, UTC: when the dead letter was written. */
  timestamp: z.string(),
  service: z.literal('cache_service'),
  error: z.string(),
  /** The record, or null if it is not an object or is nested too deeply to carry. */
  original_message: z.record(z.string(), z.unknown()).nullable(),
})

export type ErrorMessage = z.infer<typeof errorMessageSchema>
