import type { OperationDocs } from './operation-docs.ts'

const DEVICE = {
  device_id: '282c02014911',
  datatype_id: '099950d8-36f6-45cc-81e7-4ef5e8e25d94',
  datatype_name: 'door',
  datatype_unit: ['%'],
  persist: [true],
  last_updated: '2026-11-21T09:29:21.703121+00:00',
  extra: {},
  ttl: 86_312,
}

const invalid = (part: string, path: string, message: string) => ({
  invalid_request: {
    detail: `The ${part} does not match the schema: see errors.`,
    extensions: { errors: [{ path, message }] },
  },
})

const invalidId = invalid('params', '/id', 'must be 1 to 256 bytes of UTF-8 without control characters')
const ifNoneMatch = {
  'If-None-Match': 'The ETag of an earlier answer: if the device has not changed since, the answer is 304.',
}

export const DEVICE_DOCS: Readonly<Record<string, OperationDocs>> = {
  listDevices: {
    description:
      'Follow `next_cursor` until it is null. A device that exists throughout is listed once; one that appears or disappears meanwhile may be listed or not.',
    parameters: { match: '282c', limit: 100 },
    replies: {
      200: {
        description: 'A page of devices. Their order is arbitrary.',
        example: { devices: [DEVICE], next_cursor: 'WyI3MDQiXQ' },
      },
    },
    problems: invalid('querystring', '/limit', 'must be a whole number from 1 to 1000'),
  },
  getDevice: {
    parameters: { id: DEVICE.device_id },
    headers: ifNoneMatch,
    replies: {
      200: { description: 'The device.', example: DEVICE, headers: ['ETag'] },
      304: { description: 'The device has not changed since the answer with this ETag.', headers: ['ETag'] },
    },
    problems: { ...invalidId, not_found: { detail: 'There is no such device.' } },
  },
  getDeviceHash: {
    parameters: { id: DEVICE.device_id },
    replies: {
      200: {
        description: 'The fields of the hash, each as its text.',
        example: {
          datatype_id: DEVICE.datatype_id,
          datatype_name: 'door',
          datatype_unit: '["%"]',
          persist: '[true]',
          last_updated: DEVICE.last_updated,
        },
      },
    },
    problems: {
      ...invalidId,
      not_found: { detail: 'There is no such device.' },
      corrupt_device: { detail: 'The key does not hold a hash.' },
    },
  },
  lookUpDevices: {
    description:
      'One round trip for up to 1,000 ids. Ids with a damaged hash, and invalid ids, are in `errors`; the others are answered nevertheless.',
    body: { ids: [DEVICE.device_id, 'unknown'] },
    replies: {
      200: {
        description: 'What is known about each id.',
        example: { found: { [DEVICE.device_id]: DEVICE }, missing: ['unknown'], errors: {}, complete: true },
      },
    },
    problems: invalid('body', '/ids', 'must have at most 1000 ids'),
  },
  deleteDevice: {
    description:
      'Deletes the hash and the index entry. To delete a device permanently, write a tombstone (a null value with its id as the key) to the topic.',
    parameters: { id: DEVICE.device_id },
    replies: { 204: { description: 'Deleted, until the next record of the device.' } },
    problems: { ...invalidId, not_found: { detail: 'There is no such device.' } },
  },
}
