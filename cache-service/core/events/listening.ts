/**
 * How often a listener announces itself to the workers, and for how long an announcement is valid: workers publish hints
 * about changed devices only while one is.
 */
export const ANNOUNCE_INTERVAL_MS = 5_000
export const LISTENING_TTL_MS = 15_000
