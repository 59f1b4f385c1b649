import type { Option } from './options.ts'

export type ConfigProblem = Readonly<{
  variable: string
  /** What is wrong; reads on from the variable's name, and never quotes a secret. */
  message: string
  description: string
  fix: string
}>

/** `shown` is what the variable itself holds, for a path the path. */
export function problemOfValue(option: Option, shown: string, message: string): ConfigProblem {
  const { name: variable, description } = option
  const isServiceLink = /^(tcp|udp|sctp):\/\//i.test(shown)
  return {
    variable,
    message: option.kind === 'secret' ? message : `${quote(shown)} ${message}`,
    description,
    fix: isServiceLink
      ? `Kubernetes writes ${variable} for a Service of that name: set enableServiceLinks: false in the pod's spec.`
      : `Correct it, or unset it for the default (${option.default || 'none'}).`,
  }
}

/** Text for people, one paragraph a variable. */
export function formatProblems(problems: readonly ConfigProblem[]): string {
  const count = problems.length === 1 ? 'One setting' : `${problems.length} settings`
  const paragraphs = problems.map(
    ({ variable, message, description, fix }) =>
      `${variable} ${message}\n  What it is: ${description}\n  What to do: ${fix}`,
  )
  return [`${count} can't be used:`, ...paragraphs].join('\n\n')
}

const SHOWN_CHARACTERS = 100

/** In one line, and without what stands before an @: someone may have put an address with its password there. */
function quote(value: string): string {
  const masked = value.replace(/^.*@/su, '***@')
  return JSON.stringify(masked.length > SHOWN_CHARACTERS ? `${masked.slice(0, SHOWN_CHARACTERS)}…` : masked)
}
