import type { OperationDocs } from './operation-docs.ts'

export const EXAMPLE_DEVICE = {
  device_id: '282c02014911',
  datatype_id: '099950d8-36f6-45cc-81e7-4ef5e8e25d94',
  datatype_name: 'door',
  datatype_unit: ['%'],
  persist: [true],
  last_updated: '2026-11-21T09:29:21.703121+00:00',
  extra: {},
  ttl: 86_312,
}

/** A part of the request, such as `querystring`, that does not match its schema. */
export function invalidPart(
  part: string,
  path: string,
  message: string,
): NonNullable<OperationDocs['problems']> {
  return {
    invalid_request: {
      detail: `The ${part} does not match the schema: see errors.`,
      extensions: { errors: [{ path, message }] },
    },
  }
}
