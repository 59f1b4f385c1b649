import { codeBlocksOf, codeSpansOf } from './markdown.ts'

export type PageCommand = { readonly text: string; readonly line: number }

const PROGRAMS = /^(?:cache-cli|redis-cli|docker|curl|kafka-[a-z-]+\.sh) /

/** The commands of a page in their order: the lines of its blocks, and what is written as code within its sentences. */
export function commandsOf(page: string): readonly PageCommand[] {
  const lines = codeBlocksOf(page)
    .filter(({ text }) => text.trimStart().startsWith('```sh'))
    .flatMap(({ text, line }) =>
      text.split('\n').map((command, index) => ({ text: command, line: line + index })),
    )
    .filter(({ text }) => !text.trimStart().startsWith('```'))
    .map(({ text, line }) => ({ text: text.replace(/\s+#.*$/, '').trim(), line }))
    .filter(({ text }) => text !== '')
  const spans = codeSpansOf(page).filter(({ text }) => PROGRAMS.test(text))
  return [...lines, ...spans].toSorted((a, b) => a.line - b.line)
}
