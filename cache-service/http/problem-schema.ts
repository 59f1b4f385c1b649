import { z } from 'zod'

export const problemSchema = z
  .looseObject({
    type: z.string().describe('What programs switch on, such as not_found.'),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457' })

/** An answer of a route that is a problem document. */
export function problemReply(description: string) {
  return { description, content: { 'application/problem+json': { schema: problemSchema } } }
}
