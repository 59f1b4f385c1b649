import type { Config, ParsedConfig } from '../../../config/config.ts'
import { asSentence, type DoctorRole, type Finding } from '../../../core/doctor.ts'
import { ACCESS_FIX, accessProblem } from '../../../http/hooks/access.ts'
import { findListenError } from './probe-address.ts'

/** Reports every invalid setting, and every setting that should be a deliberate choice. */
export function checkSettings(parsed: ParsedConfig): Finding[] {
  const warnings = parsed.warnings.map((warning): Finding => ({
    area: 'settings',
    check: /^\w+/.exec(warning)?.[0] ?? 'warning',
    verdict: 'warning',
    detail: warning.replace(/^\w+ is /, ''),
    fix: 'Change it, unless it is intended.',
  }))
  if (parsed.kind === 'ok') {
    return [
      { area: 'settings', check: 'environment', verdict: 'ok', detail: 'all settings are valid' },
      ...warnings,
    ]
  }
  const problems = parsed.problems.map(({ fix, message, variable }): Finding => ({
    area: 'settings',
    check: variable,
    verdict: 'failed',
    detail: message.startsWith('and ') ? `${variable} ${message}` : message,
    fix,
  }))
  return [...problems, ...warnings]
}

/** Checks that the role would start with these settings, which are valid for other roles. */
export function checkAccess({ api }: Config, role: DoctorRole): Finding[] {
  const problem = role === 'api' || role === 'all' ? accessProblem(api) : undefined
  if (problem === undefined) return []
  const detail = `${problem}, so the API would not start`
  return [{ area: 'settings', check: 'API_AUTH', verdict: 'failed', detail, fix: asSentence(ACCESS_FIX) }]
}

/** Checks that the role can listen on its configured addresses. */
export async function checkPorts({ api, process }: Config, role: DoctorRole): Promise<Finding[]> {
  const metrics = { variable: 'METRICS_PORT', host: process.metricsHost, port: process.metricsPort }
  const own = { variable: 'PORT', host: api.host, port: api.port }
  const wanted = role === 'api' || role === 'all' ? [metrics, own] : [metrics]
  return await Promise.all(
    wanted.map(async ({ host, port, variable }): Promise<Finding> => {
      const check = `${variable} ${host}:${port}`
      const code = await findListenError(host, port)
      if (code === undefined) return { area: 'machine', check, verdict: 'ok', detail: 'free' }
      if (code === 'EADDRINUSE') {
        return {
          area: 'machine',
          check,
          verdict: 'warning',
          detail: 'in use, which is fine if the service is running here',
          fix: `Otherwise stop the process that uses it, or choose another ${variable}.`,
        }
      }
      const fix =
        code === 'EACCES' ? 'Choose a port of 1024 or higher.' : 'Choose an address of this machine.'
      return { area: 'machine', check, verdict: 'failed', detail: `it can't be used (${code})`, fix }
    }),
  )
}
