import { configSchema, options, type Option } from './options.ts'
import { readSource, type Environment, type ReadFile } from './sources.ts'

/** One option as it stands, for people. */
export type Setting = Readonly<{
  name: string
  /** As it was written; a secret is never told, of a path it is the path. Empty: none. */
  value: string
  from: 'default' | 'variable' | 'file'
  description: string
  /** What is wrong with it by itself; undefined: nothing. */
  problem: string | undefined
}>

const HIDDEN = '***'

/** Every option, in the order of the documentation. */
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
