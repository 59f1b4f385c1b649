import { EXAMPLE_DEVICE, invalidPart } from './examples.ts'
import type { OperationDocs } from './operation-docs.ts'

const invalidId = invalidPart('params', '/id', 'must be 1 to 256 bytes of UTF-8 without control characters')
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
        example: { devices: [EXAMPLE_DEVICE], next_cursor: 'WyI3MDQiXQ' },
      },
    },
    problems: invalidPart('querystring', '/limit', 'must be a whole number from 1 to 1000'),
  },
  getDevice: {
    parameters: { id: EXAMPLE_DEVICE.device_id },
    headers: ifNoneMatch,
    replies: {
      200: { description: 'The device.', example: EXAMPLE_DEVICE, headers: ['ETag'] },
      304: { description: 'The device has not changed since the answer with this ETag.', headers: ['ETag'] },
    },
    problems: { ...invalidId, not_found: { detail: 'There is no such device.' } },
  },
  getDeviceHash: {
    parameters: { id: EXAMPLE_DEVICE.device_id },
    replies: {
      200: {
        description: 'The fields of the hash, each as its text.',
        example: {
          datatype_id: EXAMPLE_DEVICE.datatype_id,
          datatype_name: 'door',
          datatype_unit: '["%"]',
          persist: '[true]',
          last_updated: EXAMPLE_DEVICE.last_updated,
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
    body: { ids: [EXAMPLE_DEVICE.device_id, 'unknown'] },
    replies: {
      200: {
        description: 'What is known about each id.',
        example: {
          found: { [EXAMPLE_DEVICE.device_id]: EXAMPLE_DEVICE },
          missing: ['unknown'],
          errors: {},
          complete: true,
        },
      },
    },
    problems: invalidPart('body', '/ids', 'must have at most 1000 ids'),
  },
  deleteDevice: {
    description:
      'Deletes the hash and the index entry. To delete a device permanently, write a tombstone (a null value with its id as the key) to the topic.',
    parameters: { id: EXAMPLE_DEVICE.device_id },
    replies: { 204: { description: 'Deleted, until the next record of the device.' } },
    problems: { ...invalidId, not_found: { detail: 'There is no such device.' } },
  },
}
