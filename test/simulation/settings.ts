/** Of the simulated workers. */
export const TOPIC = 'validated-data'
export const GROUP = 'cache'
export const PARTITIONS = 2
/** One may be added. */
export const MOST_PARTITIONS = PARTITIONS + 1
