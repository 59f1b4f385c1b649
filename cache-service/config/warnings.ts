import { nearestWord } from '../../shared/edit-distance.ts'
import { options, type OptionValues } from './options.ts'
import { isQuoted, type Environment } from './sources.ts'

/** Shorter names are too similar to the variables of other programs. */
const SHORTEST_NAME = 8

/** Variables that are not options but look like one. */
export function misspellings(env: Environment): string[] {
  const known = options.flatMap(({ name, kind }) => (kind === 'secret' ? [name, `${name}_FILE`] : [name]))
  const unknown = Object.keys(env).filter((name) => !known.includes(name))
  return unknown.flatMap((name) => {
    const nearest = nearestWord(
      name,
      known.filter((option) => option.length >= SHORTEST_NAME),
    )
    return nearest === undefined ? [] : [`${name} is not an option; did you mean ${nearest}?`]
  })
}

/** Secrets that were probably changed on their way into the environment. They are never quoted. */
export function suspiciousSecrets(env: Environment): string[] {
  return options.flatMap(({ kind, name }) => {
    const text = env[name] ?? ''
    if (kind !== 'secret' || text === '') return []
    if (isQuoted(text)) return [`${name} begins and ends with a quote, which is part of the value`]
    if (text.startsWith('\ufeff'))
      return [`${name} begins with a byte order mark, which is part of the value`]
    if (text.trim() !== text) return [`${name} begins or ends with white space, which is part of the value`]
    return []
  })
}

/** Settings that are allowed but should be a deliberate choice. */
export function weaknesses(values: OptionValues): string[] {
  const warnings: string[] = []
  const redisHasTls = values.REDIS_TLS || values.REDIS_URL?.tls
  if (values.KAFKA_SSL && !values.KAFKA_SSL_REJECT_UNAUTHORIZED) {
    warnings.push('KAFKA_SSL_REJECT_UNAUTHORIZED=false: any server can impersonate a broker')
  }
  if (redisHasTls && !values.REDIS_TLS_REJECT_UNAUTHORIZED) {
    warnings.push('REDIS_TLS_REJECT_UNAUTHORIZED=false: any server can impersonate Redis')
  }
  if (values.KAFKA_SASL_MECHANISM === 'plain' && !values.KAFKA_SSL) {
    warnings.push('KAFKA_SASL_MECHANISM=plain without KAFKA_SSL: the password is sent unencrypted')
  }
  return warnings
}
