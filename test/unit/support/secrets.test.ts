import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runCliHere } from '../../support/processes/run-cli-here.ts'
import { assertNoSecrets } from '../../support/processes/secrets.ts'
import { folderOfTest } from '../../support/temporary-folder.ts'
import { newToken, tokenEntry } from '../../support/tokens.ts'

describe('the output of a process', () => {
  test.each([
    ['a password of its settings', { REDIS_PASSWORD: 'correct-horse' }, 'auth correct-horse failed'],
    [
      'the password of a URL',
      { REDIS_URL: 'redis://me:p%40ss-word@h' },
      '{"url":"redis://me:p%40ss-word@h"}',
    ],
    ['the password of a URL, decoded', { REDIS_URL: 'redis://me:p%40ss-word@h' }, 'p@ss-word'],
  ])('must not contain %s', (_, env, output) => {
    expect(() => assertNoSecrets('it', `first\n${output}\n`, env)).toThrow(/^it has printed the secret/)
    expect(() => assertNoSecrets('it', 'first\n', env)).not.toThrow()
  })

  test('must not contain a password that it reads from a file', () => {
    const path = join(folderOfTest(), 'password')
    writeFileSync(path, 'correct-horse\n')
    expect(() => assertNoSecrets('it', '"correct-horse"', { REDIS_PASSWORD_FILE: path })).toThrow(
      'has printed',
    )
  })

  test('must not contain a token that the test has created', () => {
    const token = newToken()
    tokenEntry('reader', token)
    expect(() => assertNoSecrets('it', `Bearer ${token}`, {})).toThrow('has printed')
  })

  test('is checked by the helper that runs the command line', async () => {
    // The error names the unknown command.
    const running = runCliHere(['correct-horse'], { REDIS_PASSWORD: 'correct-horse' })
    await expect(running).rejects.toThrow('has printed the secret')
  })
})
