import { installSourceEdits } from '../support/source-edits.ts'
import { MUTATIONS } from './mutations.ts'

// Loaded by `node --import`: puts the fault that MUTATION names into the code that is loaded after it.

const name = process.env['MUTATION'] ?? ''
const edits = new Map(Object.entries(MUTATIONS)).get(name)
if (edits === undefined) throw new Error(`MUTATION=${name}: there is no such mutation`)
installSourceEdits([edits].flat())
