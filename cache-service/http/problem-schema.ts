import { problemSchema } from '../../shared/contract/api-schemas.ts'

/** An answer of a route that is a problem document. */
export function problemReply(description: string) {
  return { description, content: { 'application/problem+json': { schema: problemSchema } } }
}
