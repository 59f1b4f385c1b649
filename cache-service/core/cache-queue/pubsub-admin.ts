export type ChannelSubscribers = { channel: string; subscribers: number }

/** Redis pub/sub as the cache-queue service uses it. Every call rejects with a ServiceError if Redis fails. */
export type PubsubAdmin = {
  /** Resolves with the number of subscribers that received the message. */
  publish(channel: string, message: string): Promise<number>
  /** The channels that match and have subscribers; at most LISTED_MAX. */
  channels(glob: string): Promise<{ channels: ChannelSubscribers[]; truncated: boolean }>
  subscribers(channel: string): Promise<number>
}
