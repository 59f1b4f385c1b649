import { clearerFailure, redisError, ServiceError } from '../../../shared/errors.ts'

/** Why nodes of a Cluster can't be used, and what that means if it is true of all of them. */
export class NodeFailures {
  /** `host:port` → the reason. */
  readonly #reasons = new Map<string, ServiceError>()

  failed(node: string, error: Error): void {
    this.#reasons.set(node, clearerFailure(this.#reasons.get(node), redisError(error)))
  }

  reasonOf(node: string): ServiceError | undefined {
    return this.#reasons.get(node)
  }

  clear(): void {
    this.#reasons.clear()
  }

  /**
   * The failure of the whole Cluster, when no node can be used.
   *
   * @param error the last one.
   * @returns a refusal that only an operator can change, if a node gave one; NO_NODE, if none can be reached.
   */
  summary(error: Error): ServiceError {
    const reasons = [...this.#reasons]
    const refusal = reasons.find(([, { failureClass }]) => failureClass === 'operator')?.[1]
    if (refusal !== undefined) {
      const alike = reasons.filter(([, { code }]) => code === refusal.code)
      return new ServiceError('redis', refusal.code, 'operator', failuresText(alike), error)
    }
    if (reasons.length === 0) return redisError(error)
    return new ServiceError('redis', 'NO_NODE', 'transient', failuresText(reasons), error)
  }
}

/** `10.0.0.1:6379, 10.0.0.2:6379: connect ECONNREFUSED; 10.0.0.3:6379 and 3 others: timeout`. */
function failuresText(failures: readonly (readonly [node: string, failure: ServiceError])[]): string {
  const nodesByReason = new Map<string, string[]>()
  for (const [node, { message }] of failures) {
    const reason = message.replace(` ${node}`, '').trim()
    const nodes = nodesByReason.get(reason)
    if (nodes === undefined) nodesByReason.set(reason, [node])
    else nodes.push(node)
  }
  return [...nodesByReason].map(([reason, nodes]) => `${nodesText(nodes.sort())}: ${reason}`).join('; ')
}

const MAX_NAMED = 3

function nodesText(nodes: readonly string[]): string {
  if (nodes.length <= MAX_NAMED) return nodes.join(', ')
  return `${nodes[0]} and ${nodes.length - 1} others`
}
