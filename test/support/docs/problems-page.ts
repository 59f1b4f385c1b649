import { join } from 'node:path'
import { repository } from '../repository.ts'
import { format, resolveConfig } from 'prettier'
import { errorOfAnswer } from '../../../shared/client/errors.ts'
import { PROBLEM_TYPES, problemEntry, type ProblemType } from '../../../shared/contract/problems.ts'

export const problemsPagePath = join(repository, 'docs/problems.md')

const INTRODUCTION = `
# Problem types

<!-- Generated from shared/contract/problems.ts: run npm run docs:config. -->

The HTTP API reports every error as a problem document (RFC 9457, \`application/problem+json\`) with \`type\`, \`title\`,
\`status\` and often \`detail\`. Programs should switch on \`type\`; titles and details are for people and may change.
The routes of the older cache-queue service are the exception: they return \`{"error": …}\`.

The last column is the error class that the [client](client.md) throws.
`

/** docs/problems.md as the table of problems describes it. */
export async function renderProblemsPage(): Promise<string> {
  const general = PROBLEM_TYPES.filter((type) => problemEntry(type).onAnyRoute === true)
  const specific = PROBLEM_TYPES.filter((type) => problemEntry(type).onAnyRoute !== true)
  const page = [
    INTRODUCTION,
    '## On particular routes',
    'The OpenAPI document (`/openapi.json`) lists them for each route.',
    table(specific),
    '## On any route',
    table(general),
  ].join('\n\n')
  const style = await resolveConfig(problemsPagePath)
  return format(page, { ...style, filepath: problemsPagePath })
}

function table(types: readonly ProblemType[]): string {
  const rows = types.map((type) => {
    const { retryAfterS, status, title, when } = problemEntry(type)
    const retryAfter = retryAfterS === undefined ? '' : ` \`Retry-After: ${retryAfterS}\`.`
    const { name } = errorOfAnswer(status, { problem: { type, title, status } })
    return `| \`${type}\` | ${status} | ${title} | ${when}${retryAfter} | \`${name}\` |`
  })
  return ['| Type | Status | Title | When | Client error |', '| --- | --- | --- | --- | --- |', ...rows].join(
    '\n',
  )
}
