/** Where a record, or a dead letter, is in its topic. */
export type Coordinates = { readonly partition: number; readonly offset: number }
