import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { MUTATIONS } from './mutations.ts'

// Loaded by `node --import`: puts the fault that MUTATION names into the code that is loaded after it.

const name = process.env['MUTATION'] ?? ''
const edits = MUTATIONS[name]
if (edits === undefined) throw new Error(`MUTATION=${name}: there is no such mutation`)

const mutated = new Map<string, string>()
for (const { by, file, replace } of [edits].flat()) {
  const target = new URL(`../../${file}`, import.meta.url).href
  const source = mutated.get(target) ?? readFileSync(fileURLToPath(target), 'utf8')
  if (source.split(replace).length !== 2) throw new Error(`${file} does not contain exactly once: ${replace}`)
  mutated.set(
    target,
    source.replace(replace, () => by),
  )
}

registerHooks({
  load(url, context, nextLoad) {
    const source = mutated.get(url)
    if (source === undefined) return nextLoad(url, context)
    return { format: 'module-typescript', source, shortCircuit: true }
  },
})
