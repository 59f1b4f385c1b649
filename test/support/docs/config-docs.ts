import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { withAllTables, withEverydayTable } from './option-tables.ts'
import { repository } from '../repository.ts'

/** A document with tables that are generated from the options. */
export type ConfigDocument = {
  readonly name: string
  readonly path: string
  /** The document as it should be: with its tables generated again. */
  readonly render: () => Promise<string>
}

export const configDocuments: readonly ConfigDocument[] = [
  configDocument('README.md', withEverydayTable),
  configDocument('docs/configuration.md', withAllTables),
]

function configDocument(name: string, withTables: (document: string) => string): ConfigDocument {
  const path = join(repository, name)
  const render = async () => {
    const style = await resolveConfig(path)
    return await format(withTables(readFileSync(path, 'utf8')), { ...style, filepath: path })
  }
  return { name, path, render }
}
