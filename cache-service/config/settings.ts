import { configSchema, options, type Option } from './options.ts'
import { readSource, type Environment, type ReadFile } from './sources.ts'

/** The current value of one option, for display. */
export type Setting = Readonly<{
  name: string
  /** As it was written: *** for a secret, the path for a path option. Empty: no value. */
  value: string
  from: 'default' | 'variable' | 'file'
  description: string
  /** What is wrong with this value alone; undefined: nothing. */
  problem: string | undefined
}>

const HIDDEN = '***'

/** All options, in the order of the documentation. */
export function describeSettings(env: Environment, readFile: ReadFile): Setting[] {
  return options.map((option) => describe(option, env, readFile))
}

function describe(option: Option, env: Environment, readFile: ReadFile): Setting {
  const { name, description, kind } = option
  const source = readSource(option, env, readFile)
  switch (source.kind) {
    case 'unset':
      return { name, description, value: option.default, from: 'default', problem: undefined }
    case 'unusable': {
      const { message, variable } = source.problem
      return { name, description, value: '', from: variable === name ? 'variable' : 'file', problem: message }
    }
    case 'given': {
      const isFromFile = kind === 'secret' && source.shown !== ''
      const value = kind === 'secret' ? HIDDEN : source.shown
      const problem = configSchema.shape[name].safeParse(source.text).error?.issues[0]?.message
      return { name, description, value, from: isFromFile ? 'file' : 'variable', problem }
    }
  }
}
