import { FetchedPartition } from './fetched-partition.ts'
import {
  withBootstrapAddresses,
  withConnectionsEndedByTimeouts,
  withFailuresAsConnectionErrors,
  withOneStreamPerSocket,
  withReasonForNoCoordinator,
  withTimeoutOfFirstRequest,
} from './kafkajs-connections.ts'
import { withCurrentCoordinator } from './kafkajs-commits.ts'
import { createWorkerQueue, readBytes } from './kafkajs-consumer.ts'
import { loadKafkaJs } from './kafkajs-copy.ts'
import { metadataResponse, withLeaderlessPartitions } from './kafkajs-leaders.ts'
import { fetchResponse, withEarliestOffsets } from './kafkajs-out-of-range.ts'
import { adminClient, metadataRequest, recordEncoder } from './kafkajs-requests.ts'

/**
 * The only entrance to KafkaJS: the other files of this folder import it from here; the rest of the service does not
 * use it.
 *
 * KafkaJS 2.2.4 is the last release, so we correct its bugs ourselves. Those that no setting avoids are corrected in a
 * private copy; test/integration/kafka/kafkajs.test.ts tests each correction on a real broker, and test/faults/rolling-restart.test.ts
 * those that need several.
 */
export const kafkajs = loadKafkaJs({
  // KafkaJS decodes a whole fetch at once, merges headers in quadratic time, overflows the stack above 125,000 records,
  // loses the offsets that hold no record, and lets one corrupt batch fail the fetch of every partition. Here the bytes go
  // to FetchedPartition undecoded, and are decoded batch by batch (record-batch.ts).
  'src/protocol/requests/fetch/v4/decodeMessages.js': () => readBytes,
  'src/protocol/requests/fetch/v0/response.js': fetchResponse,
  'src/consumer/batch.js': () => FetchedPartition,
  'src/consumer/offsetManager/index.js': withCurrentCoordinator,
  'src/consumer/workerQueue.js': () => createWorkerQueue,
  'src/cluster/connectionPoolBuilder.js': withBootstrapAddresses,
  'src/broker/index.js': (original, internal) =>
    withFailuresAsConnectionErrors(withEarliestOffsets(original), internal),
  'src/network/connection.js': (original) => withConnectionsEndedByTimeouts(withOneStreamPerSocket(original)),
  'src/network/requestQueue/index.js': withTimeoutOfFirstRequest,
  'src/cluster/index.js': (original, internal) =>
    withLeaderlessPartitions(withReasonForNoCoordinator(original), internal),
  'src/protocol/recordBatch/record/v0/index.js': recordEncoder,
  'src/protocol/requests/metadata/v4/request.js': metadataRequest,
  'src/protocol/requests/metadata/v0/response.js': metadataResponse,
  'src/admin/index.js': adminClient,
})
