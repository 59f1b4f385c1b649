/** What decides whether the role `all` includes the lag monitor, and what it measures. */
export type LagMonitorSettings = {
  readonly groups: readonly string[]
  /** undefined: no canary. */
  readonly canary: object | undefined
}

export function includesLagMonitor(role: string, { canary, groups }: LagMonitorSettings): boolean {
  return role === 'lag-monitor' || (role === 'all' && (groups.length > 0 || canary !== undefined))
}

/** The groups whose lag a role measures: those that are named, or that of our workers. */
export function lagGroupsOf(
  role: string,
  workerGroup: string,
  settings: LagMonitorSettings,
): readonly string[] {
  if (!includesLagMonitor(role, settings)) return []
  return settings.groups.length === 0 ? [workerGroup] : settings.groups
}
