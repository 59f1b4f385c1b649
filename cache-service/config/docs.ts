import { options, type Option, type OptionFacts } from './options.ts'

const BEGIN = '<!-- config:begin -->'
const END = '<!-- config:end -->'

const groups: readonly OptionFacts['group'][] = ['Kafka', 'Redis', 'Cache', 'API', 'Updater', 'Process']

/** The README with its configuration tables as the options say; throws if the markers are missing. */
export function withConfigTables(readme: string): string {
  const begin = readme.indexOf(BEGIN)
  const end = readme.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`README.md must have ${BEGIN} and then ${END}`)
  return `${readme.slice(0, begin + BEGIN.length)}\n\n${configTables()}\n\n${readme.slice(end)}`
}

function configTables(): string {
  const advanced = groups.flatMap((group) => [
    `**${group}**`,
    table(options.filter((option) => option.level === 'advanced' && option.group === group)),
  ])
  return [
    table(options.filter(({ level }) => level === 'everyday')),
    '<details>\n<summary>Advanced options</summary>',
    ...advanced,
    '</details>',
  ].join('\n\n')
}

function table(rows: readonly Option[]): string {
  const lines = rows.map((option) => {
    const defaultText = option.default === '' ? '' : `\`${option.default}\``
    const file = option.kind === 'secret' ? ` Or \`${option.name}_FILE\`, a file that holds it.` : ''
    return `| \`${option.name}\` | ${defaultText} | ${option.description}${file} |`
  })
  return ['| Variable | Default | What it is |', '| --- | --- | --- |', ...lines].join('\n')
}
