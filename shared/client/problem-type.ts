import type { ProblemType } from '../contract/problems.ts'

/** Compares a received problem, whose type may be one of another release that is not in the table. */
export function isProblem(problem: { readonly type: string } | undefined, type: ProblemType): boolean {
  return problem?.type === type
}
