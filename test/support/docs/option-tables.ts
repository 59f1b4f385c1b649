import { options, type Option, type OptionFacts } from '../../../cache-service/config/options.ts'

const BEGIN = '<!-- config:begin -->'
const END = '<!-- config:end -->'

const groups: readonly OptionFacts['group'][] = [
  'Kafka',
  'Redis',
  'Cache',
  'API',
  'Updater',
  'Lag monitor',
  'Process',
]

/** README.md with the table of the everyday options between its markers. Throws if the markers are missing. */
export function withEverydayTable(readme: string): string {
  return replaceBetweenMarkers(readme, table(options.filter(({ level }) => level === 'everyday')))
}

/** docs/configuration.md with a table of all options per group between its markers. Throws likewise. */
export function withAllTables(page: string): string {
  const sections = groups.flatMap((group) => [
    `### ${group}`,
    table(options.filter((option) => option.group === group)),
  ])
  return replaceBetweenMarkers(page, sections.join('\n\n'))
}

function replaceBetweenMarkers(document: string, generated: string): string {
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`the document must contain ${BEGIN}, followed by ${END}`)
  return `${document.slice(0, begin + BEGIN.length)}\n\n${generated}\n\n${document.slice(end)}`
}

function table(rows: readonly Option[]): string {
  const lines = rows.map((option) => {
    const defaultText = option.default === '' ? '' : `\`${option.default}\``
    const file = option.kind === 'secret' ? ` Or \`${option.name}_FILE\`: a file that contains it.` : ''
    return `| \`${option.name}\` | ${defaultText} | ${option.description}${file} |`
  })
  return ['| Variable | Default | Description |', '| --- | --- | --- |', ...lines].join('\n')
}
