export type Instruction = { readonly keyword: string; readonly args: string }

export type Stage = {
  readonly name: string
  readonly from: string
  readonly instructions: readonly Instruction[]
}

/** As much of the Dockerfile format as ours uses: comments, continued lines, named stages. */
export function parseDockerfile(text: string): readonly Stage[] {
  const lines = text
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
  const stages: { name: string; from: string; instructions: Instruction[] }[] = []
  for (const line of lines) {
    const [, keyword = '', args = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    const from = /^(\S+) AS (\S+)$/.exec(args)
    if (keyword === 'FROM' && from) {
      stages.push({ from: from[1] ?? '', name: from[2] ?? '', instructions: [] })
    } else {
      const stage = stages.at(-1)
      if (keyword === '' || keyword === 'FROM' || !stage) throw new Error(`not understood: ${line}`)
      stage.instructions.push({ keyword, args })
    }
  }
  return stages
}

/** The instructions of a stage, after those of the stages that it is built from. */
export function instructionsOf(stages: readonly Stage[], name: string): readonly Instruction[] {
  const stage = stages.find((candidate) => candidate.name === name)
  return stage ? [...instructionsOf(stages, stage.from), ...stage.instructions] : []
}

export type Copied = { readonly sources: readonly string[]; readonly target: string }

/** What a stage takes from the build context (not from another stage). */
export function copiesOf(instructions: readonly Instruction[]): readonly Copied[] {
  return instructions
    .filter(({ keyword, args }) => keyword === 'COPY' && !args.startsWith('--from='))
    .map(({ args }) => {
      const words = args.split(/\s+/)
      return { sources: words.slice(0, -1), target: words.at(-1) ?? '' }
    })
}

/** The words of the last instruction of a kind in its exec form: `["node", "main.ts"]`. */
export function execForm(instructions: readonly Instruction[], keyword: string): readonly string[] {
  const args = instructions.findLast((instruction) => instruction.keyword === keyword)?.args ?? ''
  const words: unknown = JSON.parse(/\[.*\]$/.exec(args)?.[0] ?? '[]')
  return Array.isArray(words) ? words.map(String) : []
}
