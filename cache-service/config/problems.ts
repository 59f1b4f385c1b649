import type { Option } from './options.ts'

export type ConfigProblem = Readonly<{
  variable: string
  /** What is wrong: a predicate whose subject is the variable's name. Never quotes a secret. */
  message: string
  description: string
  fix: string
}>

/** @param shown the text of the variable itself: for a path option the path, not the content of the file. */
export function problemOfValue(option: Option, shown: string, message: string): ConfigProblem {
  const { name: variable, description } = option
  const isServiceLink = /^(tcp|udp|sctp):\/\//i.test(shown)
  return {
    variable,
    message: option.kind === 'secret' ? message : `${quote(shown)} ${message}`,
    description,
    fix: isServiceLink
      ? `Kubernetes sets ${variable} for a Service of that name. Set enableServiceLinks: false in the pod spec.`
      : `Correct it, or unset it to use the default (${option.default || 'none'}).`,
  }
}

/** Human-readable text, one paragraph per variable. */
export function formatProblems(problems: readonly ConfigProblem[]): string {
  const title = problems.length === 1 ? '1 setting is invalid:' : `${problems.length} settings are invalid:`
  const paragraphs = problems.map(
    ({ variable, message, description, fix }) =>
      `${variable} ${message}\n  Description: ${description}\n  Fix: ${fix}`,
  )
  return [title, ...paragraphs].join('\n\n')
}

const SHOWN_CHARACTERS = 100

/** On one line, and without anything before an @: it may be an address that contains a password. */
function quote(value: string): string {
  const masked = value.replace(/^.*@/su, '***@')
  return JSON.stringify(masked.length > SHOWN_CHARACTERS ? `${masked.slice(0, SHOWN_CHARACTERS)}…` : masked)
}
