import { existsSync, globSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import npmPackage from '../../../package.json' with { type: 'json' }
import { anchorsOf, codeBlocksOf, codeSpansOf, linksOf } from '../../support/docs/markdown.ts'
import { readText, repositoryFiles } from '../../support/docs/repository-files.ts'
import { repository } from '../../support/repository.ts'

const files = repositoryFiles()
const pages = files.filter((path) => path.endsWith('.md'))
const topFolders = [...new Set(files.map((path) => path.split('/')))]
  .filter((parts) => parts.length > 1)
  .map(([folder = '']) => folder)
const layers = [
  ...new Set(files.filter((path) => path.startsWith('cache-service/')).map((path) => path.split('/'))),
]
  .filter((parts) => parts.length > 2)
  .map(([, layer = '']) => layer)

const ownPages = `${npmPackage.homepage.replace(/#.*$/, '')}/blob/main/`

function exists(path: string): boolean {
  return path.includes('*')
    ? globSync(path, { cwd: repository }).length > 0
    : existsSync(join(repository, path))
}

/** What is wrong with a link of a page; undefined: nothing, or it leads elsewhere. */
function problemOfLink(page: string, link: string): string | undefined {
  const isOwn = link.startsWith(ownPages)
  if (!isOwn && /^[a-z]+:/.test(link)) return undefined
  const [target = '', anchor] = isOwn ? link.slice(ownPages.length).split('#') : link.split('#')
  const path = target === '' ? page : isOwn ? target : normalize(join(dirname(page), target))
  if (!exists(path)) return `there is no ${path}`
  if (anchor === undefined || !path.endsWith('.md')) return undefined
  return anchorsOf(readText(path)).includes(anchor) ? undefined : `${path} has no heading #${anchor}`
}

const anyOf = (names: readonly string[]) =>
  [...new Set(names)].map((name) => name.replace('.', '\\.')).join('|')
/** `test/unit/…` anywhere in code; a name in angle brackets ends the path. */
const fromTop = new RegExp(`(?<![\\w./@-])(?:${anyOf(topFolders)})/[\\w./*-]*`, 'g')
/** `core/…`, short for `cache-service/core/…`: the whole of a code span. */
const fromLayer = new RegExp(`^(?:${anyOf(layers)})/[\\w./*-]+$`)

function pathsIn(page: string): { readonly text: string; readonly path: string; readonly line: number }[] {
  const code = [...codeSpansOf(page), ...codeBlocksOf(page)]
  const whole = code.flatMap(({ text, line }) =>
    [...text.matchAll(fromTop)].map(([path]) => ({ text: path, path: path.replace(/\.$/, ''), line })),
  )
  const short = codeSpansOf(page)
    .filter(({ text }) => fromLayer.test(text))
    .map(({ text, line }) => {
      const path = `cache-service/${text}`
      return { text, line, path: /\.\w+$/.test(text) || exists(path) ? path : `${path}.ts` }
    })
  return [...whole, ...short]
}

describe.each(pages)('%s', (page) => {
  const text = readText(page)

  it('links only to files and headings that exist', () => {
    const problems = linksOf(text).flatMap(({ text: link, line }) => {
      const problem = problemOfLink(page, link)
      return problem === undefined ? [] : [`${page}:${line}: (${link}) ${problem}`]
    })
    expect(problems.join('\n')).toBe('')
  })

  it('names only files and folders that exist', () => {
    const missing = pathsIn(text).filter(({ path }) => !exists(path))
    expect(missing.map(({ line, text: path }) => `${page}:${line}: ${path}`).join('\n')).toBe('')
  })
})

/** Comments and messages: a path of a file, from the top or from a layer. Imports begin with a dot. */
const fileName = new RegExp(
  `(?<![\\w./@*-])(?:${anyOf([...topFolders, ...layers])})/[\\w./-]+\\.(?:ts|js|lua|py|sh|md|ya?ml|xml|json)\\b`,
  'g',
)
const inventsPaths = new Set(['test/unit/docs/links.test.ts', 'test/unit/layers.test.ts'])

describe('the files of this repository', () => {
  it('name only files that exist in their comments and messages', () => {
    const others = files.filter((path) => !path.endsWith('.md') && !inventsPaths.has(path))
    const missing = others.flatMap((file) => {
      const text = readText(file)
      return [...text.matchAll(fileName)]
        .filter(([path]) => !exists(path) && !exists(`cache-service/${path}`))
        .map(({ 0: path, index }) => `${file}:${text.slice(0, index).split('\n').length}: ${path}`)
    })
    expect(missing.join('\n')).toBe('')
  })
})

describe('the search for links and paths', () => {
  it('finds the pages of this repository', () => {
    expect(pages).toEqual(expect.arrayContaining(['README.md', 'CONTRIBUTING.md', 'docs/runbook.md']))
  })

  it.each([
    ['no-such-page.md', 'there is no docs/no-such-page.md'],
    ['../README.md#no-such-heading', 'README.md has no heading #no-such-heading'],
    [`${ownPages}docs/no-such-page.md`, 'there is no docs/no-such-page.md'],
  ])('reports the link %s', (link, problem) => {
    expect(problemOfLink('docs/runbook.md', link)).toBe(problem)
  })

  it.each(['../README.md', '../docs', '#alerts', 'https://example.org/no-such-page'])(
    'accepts the link %s',
    (link) => {
      expect(problemOfLink('docs/runbook.md', link)).toBeUndefined()
    },
  )

  it('finds paths in code spans and code blocks, and no others', () => {
    const text = [
      'See `test/no-such.ts`, `core/no-such.ts` and `cache-service/cli/commands/<name>.ts`;',
      'not docs/prose.md, `application/json`, `iot-device-cache/client` or [a link](docs/linked.md).',
      '```sh',
      'node test/bench/no-such.ts --runs 5',
      '```',
    ].join('\n')
    expect(pathsIn(text).map(({ path, line }) => [path, line])).toEqual([
      ['test/no-such.ts', 1],
      ['cache-service/cli/commands/', 1],
      ['test/bench/no-such.ts', 3],
      ['cache-service/core/no-such.ts', 1],
    ])
  })

  it('knows the anchors of headings as GitHub makes them', () => {
    const page =
      '# Redis: `OOM`, and more!\n## Twice\n## Twice\n```sh\n# a comment\n```\n### See [a link](x.md)'
    expect(anchorsOf(page)).toEqual(['redis-oom-and-more', 'twice', 'twice-1', 'see-a-link'])
  })
})
