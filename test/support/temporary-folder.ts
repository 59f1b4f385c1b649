import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, onTestFinished } from 'vitest'

/** Creates a folder that is removed when the test ends. Call it in a test or in `beforeEach`. */
export function folderOfTest(): string {
  const folder = createFolder()
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Creates a folder that is removed after all tests of the file or `describe`. Call it there, outside of hooks and tests. */
export function folderOfFile(): string {
  const folder = createFolder()
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Creates a FIFO in the folder, and returns its path. */
export function createFifo(folder: string): string {
  const path = join(folder, 'fifo')
  const { status, stderr } = spawnSync('mkfifo', [path], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`mkfifo ended with ${status}: ${stderr}`)
  return path
}

function createFolder(): string {
  return mkdtempSync(join(tmpdir(), 'test-'))
}
