import type { Config, ParsedConfig } from '../../../config/config.ts'
import type { DoctorRole, Finding } from '../../../core/doctor.ts'
import { whyNotListen } from './probe-address.ts'

/** Every setting that can't be used, and every one that nobody should have by accident. */
export function checkSettings(parsed: ParsedConfig): Finding[] {
  if (parsed.kind === 'invalid') {
    return parsed.problems.map(({ fix, message, variable }) => ({
      area: 'settings',
      check: variable,
      verdict: 'failed',
      detail: message.startsWith('and ') ? `${variable} ${message}` : message,
      fix,
    }))
  }
  const warnings = parsed.warnings.map((warning): Finding => ({
    area: 'settings',
    check: /^\w+/.exec(warning)?.[0] ?? 'warning',
    verdict: 'warning',
    detail: warning.replace(/^\w+ is /, ''),
    fix: 'Change it, unless it is meant.',
  }))
  return [
    { area: 'settings', check: 'environment', verdict: 'ok', detail: 'every setting can be used' },
    ...warnings,
  ]
}

/** Can the role listen where it is told to? */
export async function checkPorts({ api, process }: Config, role: DoctorRole): Promise<Finding[]> {
  const metrics = { variable: 'METRICS_PORT', host: process.metricsHost, port: process.metricsPort }
  const own = { variable: 'PORT', host: api.host, port: api.port }
  const wanted = role === 'api' || role === 'all' ? [metrics, own] : [metrics]
  return await Promise.all(
    wanted.map(async ({ host, port, variable }): Promise<Finding> => {
      const check = `${variable} ${host}:${port}`
      const why = await whyNotListen(host, port)
      if (why === undefined) return { area: 'machine', check, verdict: 'ok', detail: 'free' }
      if (why === 'EADDRINUSE') {
        return {
          area: 'machine',
          check,
          verdict: 'warning',
          detail: 'in use: which is fine if the service runs here',
          fix: `Else stop what uses it, or choose another ${variable}.`,
        }
      }
      const fix = why === 'EACCES' ? 'Choose a port of 1024 or more.' : 'Choose an address of this machine.'
      return { area: 'machine', check, verdict: 'failed', detail: `it can't be used (${why})`, fix }
    }),
  )
}
