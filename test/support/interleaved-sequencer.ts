import { statSync } from 'node:fs'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Runs the projects beside each other rather than one after the other, each from its longest file to its shortest: files
 * that mostly wait for servers (system) and files that mostly compute (unit, browser, simulation) share the processors, and
 * the last files are short.
 */
export class InterleavedSequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const longestFirst = await super.sort(files)
    const projects = Map.groupBy(longestFirst, ({ project }) => project.name)
    return interleave([...projects.values()].map((specs) => this.#weigh(specs)))
  }

  /** By the durations of the last run; by the sizes of the files if one has never run. */
  #weigh(specs: readonly TestSpecification[]): Weighted<TestSpecification>[] {
    const durations = specs.map((spec) => this.ctx.cache.getTestSpecificationResult(spec)?.duration)
    const areKnown = durations.every((duration) => duration !== undefined)
    return specs.map((spec, i) => ({
      item: spec,
      weight: areKnown ? (durations[i] ?? 0) : statSync(spec.moduleId).size,
    }))
  }
}

export type Weighted<Item> = { readonly item: Item; readonly weight: number }

/** Merges lists so that at any point the same share of each list's weight has begun. The order within a list stays. */
export function interleave<Item>(lists: readonly (readonly Weighted<Item>[])[]): Item[] {
  const placed = lists.flatMap((list) => {
    const total = list.reduce((sum, { weight }) => sum + weight, 0) || 1
    let before = 0
    return list.map(({ item, weight }) => {
      const place = before / total
      before += weight
      return { item, place }
    })
  })
  return placed.toSorted((a, b) => a.place - b.place).map(({ item }) => item)
}
