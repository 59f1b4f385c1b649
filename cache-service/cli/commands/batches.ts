export async function* batchesOf<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let current: T[] = []
  for await (const item of items) {
    current.push(item)
    if (current.length < size) continue
    yield current
    current = []
  }
  if (current.length > 0) yield current
}
