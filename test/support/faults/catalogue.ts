/** A fault that the service must survive, as docs/faults.md lists it. */
export type Fault = {
  readonly fault: string
  /** How the tests make it. */
  readonly done: string
  readonly expected: string
}

/**
 * Every fault that the tests make on real servers. K: Kafka, R: Redis, N: the network, P: the records, D: the dead-letter
 * topic, H: the process and its host. Load runs before, during and after the fault, and the oracle compares at rest.
 */
export const FAULTS = {
  K1: {
    fault: 'A broker restarts',
    done: 'SIGTERM, then a start with the same log folder',
    expected: 'Alive throughout, not ready meanwhile; it reconnects and resumes',
  },
  K2: {
    fault: 'A broker is killed',
    done: 'SIGKILL, then a start with the same log folder',
    expected: 'As K1; no acknowledged record is missing',
  },
  K3: {
    fault: 'Rolling restart of three brokers; leaders and the coordinator move',
    done: 'Three brokers with replication factor 3; each is restarted in turn, then the coordinator and the controller are killed',
    expected: 'Progress continues while a broker is away',
  },
  K6: {
    fault: 'A broker hangs',
    done: 'SIGSTOP for 5 s and for 60 s, and with a short `KAFKA_STALL_TIMEOUT_S`',
    expected:
      'Not ready once its session is over; requests time out, the worker joins again; nothing unapplied is committed',
  },
  K7: {
    fault: 'Half-open, slow or cut connections to Kafka',
    done: 'A proxy that `advertised.listeners` names: latency, a rate limit, resets, silence, and silence of the old connections only',
    expected: 'Progress where there is a connection; found within the request timeout otherwise',
  },
  K8: {
    fault: 'A storm of rebalances',
    done: 'Fifteen workers start and are killed, one a second, beside one that stays',
    expected: 'Progress continues; no commit for a partition that is not owned',
  },
  K9: {
    fault: 'Processing is slower than the session timeout',
    done: 'A proxy delays what goes to and from Redis by 3.5 s, so that a chunk takes longer than the session; another worker joins',
    expected: 'Heartbeats go on; a commit that is refused as stale is not fatal',
  },
  K10: {
    fault: 'A zombie worker',
    done: 'SIGSTOP past its session, another worker takes over, SIGCONT',
    expected: 'Its late writes change nothing, equal event times included; its late commit is refused',
  },
  K11: {
    fault: 'A worker is killed between two steps',
    done: 'SIGKILL at named points between fetch, apply, progress, dead letter and commit, from a seed',
    expected: 'Records may be applied again; none is skipped',
  },
  K12: {
    fault: 'SIGTERM under load',
    done: 'SIGTERM while chunks are being applied, and while Kafka is silent',
    expected: 'Drains, commits, leaves the group; exit code 0 within the deadline',
  },
  K13: {
    fault: 'The offset is out of range',
    done: 'The beginning of a partition, or all of it, is deleted (DeleteRecords); a commit after the end',
    expected: 'Continues at the earliest record; counted and warned about; no lag is left',
  },
  K14: {
    fault: 'The topic is deleted and created again',
    done: 'By the admin client, while a worker runs and while none does',
    expected: 'Waits, then consumes; the offsets of the former topic decide nothing',
  },
  K15: {
    fault: 'Partitions are added',
    done: 'By the admin client, under load',
    expected: 'They are read within the time of a metadata refresh',
  },
  K16: {
    fault: 'The topic is missing at the start',
    done: 'The worker starts first',
    expected: 'Alive, not ready, says what it waits for; consumes once the topic exists',
  },
  K17: {
    fault: 'Kafka refuses the user or the topic',
    done: 'A wrong SASL password; ACLs without the topic or the group, and taken away under load',
    expected: 'At the start an error that names the setting, and an exit; later a hold; never a busy loop',
  },
  K18: {
    fault: 'The broker cannot be reached',
    done: 'A closed port, a host name that does not exist, the port of the controller',
    expected: 'Alive, not ready, the error names the setting and the address',
  },
  K19: {
    fault: 'A record batch is damaged on its way, or on the disk of the broker',
    done: 'A proxy changes a byte of a value, a few times or always; bytes of the log are overwritten',
    expected: 'Noticed by the checksum; fetched again; dead letters if it stays damaged; never applied',
  },
  R1: {
    fault: 'Redis restarts',
    done: 'SIGTERM with and without an append-only file, under load',
    expected: 'Holds without a commit; what was lost is noticed by the progress beside it and read again',
  },
  R2: {
    fault: 'Redis is killed, or comes back with an older snapshot',
    done: 'SIGKILL with and without an append-only file; an older RDB file is restored',
    expected: 'As R1',
  },
  R3: {
    fault: 'Redis is loading its data',
    done: 'A big RDB file with `key-load-delay`',
    expected: 'Holds; resumes without a restart',
  },
  R4: {
    fault: 'Failover: the primary becomes a replica (READONLY)',
    done: '`REPLICAOF` turns the roles of two servers around, under load; the address leads to the new primary seconds later. Three Sentinels promote a replica, also one that lags, with clients attached',
    expected:
      'Holds; writes to the new primary once the address leads there; what only the old one had is read again',
  },
  R5: {
    fault: 'Redis is full (OOM, `noeviction`)',
    done: '`maxmemory` is set below what is used, under load',
    expected: 'Holds, says so, resumes once memory is free; no expiry of old metadata is moved',
  },
  R6: {
    fault: 'The eviction policy may drop devices',
    done: '`allkeys-lru`',
    expected: 'A warning at the start',
  },
  R7: {
    fault: 'Redis refuses writes because it cannot save (MISCONF)',
    done: 'The snapshot fails into a folder that is missing',
    expected: 'Holds; resumes without a restart',
  },
  R8: {
    fault: 'Redis is slow',
    done: '`DEBUG SLEEP 0.5` 20 times, one after the other, under load',
    expected: 'Back-pressure; heartbeats go on',
  },
  R9: {
    fault: 'Redis is busy with a script (BUSY)',
    done: 'An endless script of another client, then `SCRIPT KILL`',
    expected: 'Holds; resumes without a restart',
  },
  R10: {
    fault: 'Redis hangs',
    done: 'SIGSTOP for 8 s, under load',
    expected: 'Holds within the time-out; heartbeats go on',
  },
  R11: {
    fault: 'Redis refuses the user or a command',
    done: 'A wrong password; an ACL user without the commands; taken away under load',
    expected: 'At the start an error that names the setting, and an exit; later a hold',
  },
  R12: {
    fault: 'Redis has no connection left (`maxclients`)',
    done: '`maxclients 5`, all taken by others, and the connections of the worker are killed',
    expected: 'Growing pauses between attempts, no storm; resumes without a restart',
  },
  R13: {
    fault: 'The scripts are flushed',
    done: '`SCRIPT FLUSH` in a loop, under load',
    expected: 'They are loaded again; the order is kept',
  },
  R14: {
    fault: 'A device key holds another type',
    done: '`LPUSH` to the key of a device',
    expected: 'That record becomes a dead letter; its neighbours are written',
  },
  R15: {
    fault: 'The cache is emptied (FLUSHALL)',
    done: 'By another client, under load',
    expected: 'Noticed, and everything is read again',
  },
  R16: {
    fault: 'The connection to Redis is cut within a pipeline',
    done: 'A proxy closes each connection after a random number of bytes sent or received, 40 times',
    expected: 'The whole chunk is applied again; no reader sees a device go back',
  },
  R17: {
    fault: 'Slots of a Redis Cluster move',
    done: 'Three masters and three replicas, under load and with clients attached: 1,000 slots are resharded; a master is added',
    expected: 'Goes on; nothing is read again, and no client sees a device go back',
  },
  R18: {
    fault: 'A master of a Redis Cluster is killed, or hangs',
    done: 'SIGKILL, SIGSTOP; its replica takes its place; it comes back as a replica',
    expected: 'Holds, and goes on with the new master; what that lacks is read again',
  },
  R19: {
    fault: 'A master of a Redis Cluster loses its data',
    done: 'FLUSHALL on one master, also while slots move to it',
    expected: 'Noticed by its copy of the progress, and read again',
  },
  R20: {
    fault: 'A lagging replica becomes a master of a Redis Cluster',
    done: 'The replica is frozen for 1,000 records; then its master is killed, and it takes over',
    expected: 'What it lacks is noticed and read again',
  },
  N1: {
    fault: 'Cut from Kafka only',
    done: 'A proxy before Kafka goes silent, then heals',
    expected: 'Reads are still served; resumes',
  },
  N2: {
    fault: 'Cut from Redis only',
    done: 'A proxy before Redis goes silent, then heals',
    expected: 'Holds without a commit; resumes',
  },
  N3: {
    fault: 'Cut from Kafka and Redis',
    done: 'Both proxies go silent; they heal in either order',
    expected: 'Resumes whichever comes back first',
  },
  P1: {
    fault: 'Poisonous records',
    done: 'Every invalid kind, records of 800 KB and 6 MB, 10,000 headers, a bad key, a corrupt batch, and batches that decompress to 60 and 300 MiB',
    expected: 'A dead letter with everything that a replay needs; the partition goes on',
  },
  P2: {
    fault: 'Nothing but invalid records',
    done: '500 invalid records a second of every kind',
    expected: 'Few log lines, complete dead letters',
  },
  P4: {
    fault: 'Tombstones and updates in any order',
    done: 'A generator with a seed',
    expected: 'After a last tombstone a lookup misses; otherwise the model',
  },
  P5: {
    fault: 'Duplicates, shuffled records, equal event times',
    done: 'A generator with a seed; the whole topic is read again',
    expected: 'The model; reading it again changes no hash',
  },
  P6: {
    fault: 'Clocks that are wrong',
    done: 'Event times in the future, in the past and without an offset',
    expected: 'Limited by `MAX_FUTURE_SKEW_S`; counted and warned about',
  },
  P7: {
    fault: 'One device sends most records',
    done: 'A generator',
    expected: 'The model; the other devices are not late',
  },
  P8: {
    fault: 'Records gain and lose fields',
    done: 'A generator, with `METADATA_EXTRA_FIELDS=*`',
    expected: 'A hash holds the fields of its last record and no others',
  },
  D1: {
    fault: 'The dead-letter topic is missing or refused',
    done: 'Missing; write access taken away; its broker killed',
    expected: 'Holds; no record is skipped',
  },
  D2: {
    fault: 'An invalid record is too large for the dead-letter topic',
    done: 'A small `max.message.bytes`',
    expected: 'A truncated dead letter that says so',
  },
  H1: {
    fault: 'Little memory',
    done: '`--max-old-space-size=128` and 320 records of 550 KB',
    expected: 'Back-pressure instead of a crash',
  },
  H2: {
    fault: 'No program reads the log',
    done: 'The pipe of standard output is full; then SIGTERM',
    expected: 'Goes on, and exits in time',
  },
  H3: {
    fault: 'No file descriptors are left',
    done: '`prlimit`, and the connections to Redis are killed, under load',
    expected: 'Survives, holds, and reconnects when descriptors are free',
  },
  H4: {
    fault: 'The event loop is blocked',
    done: 'A computation of 5 s; SIGSTOP for 5 s; the wall clock is set back by an hour',
    expected: 'No false alarm; resumes',
  },
  H5: {
    fault: 'Overloaded API, slow clients',
    done: 'Lookups without end, readers that never read, request heads that never end',
    expected: 'Ingestion goes on; slow clients are dropped, memory stays flat',
  },
  H6: {
    fault: 'Bad configuration',
    done: 'A table of wrong values',
    expected: 'All errors at once, exit code 2; no secret is printed',
  },
} as const satisfies Readonly<Record<string, Fault>>

export type FaultId = keyof typeof FAULTS

export const FAULT_IDS = Object.keys(FAULTS) as readonly FaultId[]
