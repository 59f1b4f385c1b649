import type { Finding } from '../../../core/doctor.ts'

export type NodeFindings = { readonly node: string; readonly findings: readonly Finding[] }

/**
 * The findings about nodes of a Cluster: one for a check with the same result wherever it was made, otherwise one for each node,
 * which names it.
 *
 * @param what the nodes are, in the plural.
 */
export function mergeNodes(nodes: readonly NodeFindings[], what: 'masters' | 'nodes'): Finding[] {
  const checks = new Set(nodes.flatMap(({ findings }) => findings.map(({ check }) => check)))
  return [...checks].flatMap((check) => mergeCheck(nodes, check, what))
}

function mergeCheck(nodes: readonly NodeFindings[], check: string, what: string): Finding[] {
  const found = nodes.flatMap(({ findings, node }) => {
    const finding = findings.find((one) => one.check === check)
    return finding === undefined ? [] : [{ node, finding }]
  })
  const [first] = found
  if (first === undefined) return []
  const { detail, fix } = first.finding
  if (found.length > 1 && found.every(({ finding }) => finding.detail === detail))
    return [withFix({ ...first.finding, detail: `${detail} (${found.length} ${what})` }, fix, 'each of them')]
  return found.map(({ finding, node }) =>
    withFix({ ...finding, check: `${check} at ${node}` }, finding.fix, node),
  )
}

function withFix(finding: Finding, fix: string | undefined, where: string): Finding {
  return fix === undefined ? finding : { ...finding, fix: `On ${where}: ${fix}` }
}
