/**
 * Something that is loaded repeatedly. After a failure `data` is what was loaded last, and `error` says why it is not
 * newer. A call during a load begins one more load afterwards, however many calls there are.
 *
 * @param load resolves with the new data
 */
export function createSource(load, { now, changed }) {
  const source = { data: undefined, error: undefined, atMs: undefined, load: loadOnce }
  let running
  let again = false

  async function loadOnce() {
    if (running !== undefined) {
      again = true
      return await running
    }
    running = run()
    try {
      await running
    } finally {
      running = undefined
    }
  }

  async function run() {
    do {
      again = false
      try {
        const data = await load()
        Object.assign(source, { data, error: undefined, atMs: now() })
      } catch (error) {
        source.error = error
      }
      changed()
    } while (again)
  }

  return source
}
