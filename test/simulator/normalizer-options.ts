export type NormalizerOptions = {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly rate: number
  readonly devices: number
  readonly seed: number
  readonly invalidPercent: number
  /** 0: until a signal stops it. */
  readonly seconds: number
}

type Variable = {
  readonly name: string
  readonly standard: string
  readonly help: string
}

const KAFKA: Variable = {
  name: 'KAFKA_BOOTSTRAP_SERVERS',
  standard: 'kafka:9092',
  help: 'comma-separated brokers',
}
const TOPIC: Variable = {
  name: 'KAFKA_VALIDATED_DATA_TOPIC',
  standard: 'iot_validated_data',
  help: 'topic to write to',
}
const RATE: Variable = { name: 'NORMALIZER_RATE', standard: '500', help: 'records per second' }
const DEVICES: Variable = {
  name: 'NORMALIZER_DEVICES',
  standard: '500',
  help: 'number of simulated devices',
}
const SEED: Variable = {
  name: 'NORMALIZER_SEED',
  standard: '',
  help: 'integer; the same seed gives the same devices (empty: a random one, which is logged)',
}
const INVALID_PERCENT: Variable = {
  name: 'NORMALIZER_INVALID_PERCENT',
  standard: '1',
  help: 'percentage of invalid payloads',
}
const SECONDS: Variable = {
  name: 'NORMALIZER_SECONDS',
  standard: '0',
  help: 'seconds after which to stop (0: never)',
}

export function normalizerHelp(): string {
  const lines = [KAFKA, TOPIC, RATE, DEVICES, SEED, INVALID_PERCENT, SECONDS].map(
    ({ name, standard, help }) => `  ${name.padEnd(28)}${help}${standard === '' ? '' : ` [${standard}]`}`,
  )
  return [
    'Simulated normalizer: writes ValidatedOutputs to Kafka as the platform does. Environment variables:',
    '',
    ...lines,
    '',
    'Logs a JSON line every 10 s. On SIGINT or SIGTERM it finishes sending and exits with 0.',
    '',
  ].join('\n')
}

/** Reports all problems at once. `freshSeed` is used if no seed is given. */
export function parseNormalizerOptions(
  env: Readonly<Record<string, string | undefined>>,
  freshSeed: number,
): { options: NormalizerOptions } | { problems: readonly string[] } {
  const problems: string[] = []

  function text({ name, standard }: Variable): string {
    const value = env[name]?.trim() ?? ''
    return value === '' ? standard : value
  }
  function number(variable: Variable, low: number, high: number, whole: boolean): number {
    const value = Number(text(variable))
    if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
      problems.push(
        `${variable.name}=${text(variable)}: must be ${whole ? 'an integer' : 'a number'} from ${low} to ${high} (${variable.help})`,
      )
    }
    return value
  }

  const options: NormalizerOptions = {
    brokers: text(KAFKA)
      .split(',')
      .map((broker) => broker.trim())
      .filter((broker) => broker !== ''),
    topic: text(TOPIC),
    rate: number(RATE, 0.1, 100_000, false),
    devices: number(DEVICES, 1, 1_000_000, true),
    seed: text(SEED) === '' ? freshSeed : number(SEED, 0, 0xffff_ffff, true),
    invalidPercent: number(INVALID_PERCENT, 0, 100, false),
    seconds: number(SECONDS, 0, 31_536_000, false),
  }
  if (options.brokers.length === 0)
    problems.push(`${KAFKA.name}: must name at least one broker (${KAFKA.help})`)
  return problems.length === 0 ? { options } : { problems }
}
