/**
 * The groups whose lag a role measures: the lag monitor those that are named, or that of our workers; the role `all` only
 * those that are named.
 */
export function lagGroupsOf(role: string, workerGroup: string, named: readonly string[]): readonly string[] {
  if (role === 'all') return named
  if (role !== 'lag-monitor') return []
  return named.length === 0 ? [workerGroup] : named
}
