// The type of a check (cache-service/lifecycle/readiness.ts) lets it return no other reason than those of this list.

import { expect, test } from 'vitest'
import { NOT_READY_REASONS } from '../../../cache-service/lifecycle/readiness.ts'
import { readText } from '../../support/docs/repository-files.ts'

test('docs/runbook.md explains every reason that /readyz can give, and no other', () => {
  const section =
    readText('docs/runbook.md').split('\n## The reasons in /readyz\n')[1]?.split('\n## ')[0] ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('| `'))
  const explained = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)])
  expect(explained.map(([, reason]) => reason).toSorted()).toEqual([...NOT_READY_REASONS].toSorted())
  for (const row of rows) expect(row.split(' | ').map((cell) => cell.trim())).not.toContain('')
})
