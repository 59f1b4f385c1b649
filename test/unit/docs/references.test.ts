import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'

const repository = join(import.meta.dirname, '../../..')
const pages = globSync(['README.md', 'CHANGELOG.md', 'docs/*.md'], { cwd: repository }).toSorted()

const textOf = (page: string) => readFileSync(join(repository, page), 'utf8')
/** Without fenced blocks: what looks like a link or a path there is part of an example. */
const proseOf = (page: string) => textOf(page).replaceAll(/^```.*?^```$/gms, '')

/** The anchors that GitHub gives the headings of a page. */
function anchorsOf(page: string): string[] {
  return [...proseOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** The relative links of a page whose file or heading does not exist. */
function brokenLinksOf(page: string): string[] {
  const links = [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false
    const [path = '', anchor] = link.split('#')
    const target = path === '' ? page : join(dirname(page), path)
    if (!existsSync(join(repository, target))) return true
    return anchor !== undefined && !anchorsOf(target).includes(anchor)
  })
}

const roots = [repository, join(repository, 'cache-service')]
const folders = [
  'cache-service',
  'shared',
  'test',
  'deploy',
  'docs',
  ...foldersOf(join(repository, 'cache-service')),
]

function foldersOf(path: string): string[] {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  )
}

/** Paths in code spans, from the root of the repository or from cache-service, that do not exist. */
function missingPathsOf(page: string): string[] {
  const paths = [...proseOf(page).matchAll(/`(([\w-]+)\/[\w./-]*)`/g)]
  return paths.flatMap(([, path = '', folder = '']) =>
    folders.includes(folder) && !roots.some((root) => existsSync(join(root, path))) ? [path] : [],
  )
}

describe.each(pages)('%s', (page) => {
  test('links only to files and headings that exist', () => {
    expect(brokenLinksOf(page)).toEqual([])
  })

  test('names only paths that exist', () => {
    expect(missingPathsOf(page)).toEqual([])
  })
})

test('the README has at most 250 lines', () => {
  expect(textOf('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(250)
})
