import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { repository } from './repository.ts'

/** A change of the source that a process makes while it loads it: the files stay as they are. */
export type SourceEdit = {
  readonly file: string
  /** Text that occurs exactly once. */
  readonly replace: string
  readonly by: string
}

/** URL → source, edited. Throws if an edit does not fit the source any more. */
export function editSources(edits: readonly SourceEdit[]): Map<string, string> {
  const edited = new Map<string, string>()
  for (const { by, file, replace } of edits) {
    const path = join(repository, file)
    const url = pathToFileURL(path).href
    const source = edited.get(url) ?? readFileSync(path, 'utf8')
    if (source.split(replace).length !== 2) {
      throw new Error(`${file} does not contain exactly once: ${replace}`)
    }
    edited.set(
      url,
      source.replace(replace, () => by),
    )
  }
  return edited
}

/** Applies to the modules that are loaded afterwards: for a file that `node --import` loads before the program. */
export function installSourceEdits(edits: readonly SourceEdit[]): void {
  const edited = editSources(edits)
  registerHooks({
    load(url, context, nextLoad) {
      const source = edited.get(url)
      if (source === undefined) return nextLoad(url, context)
      return { format: 'module-typescript', source, shortCircuit: true }
    },
  })
}
