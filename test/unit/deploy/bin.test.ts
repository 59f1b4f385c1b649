import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { repository } from '../../support/repository.ts'

const { bin } = z
  .object({ bin: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')))
const programs = Object.entries(bin).map(([name, path]) => ({
  name,
  source: path.replace(/^dist\//, '').replace(/js$/, 'ts'),
}))

/** As if an older Node.js ran the file: the version is all that it looks at. */
const OLD_NODE = `data:text/javascript,Object.defineProperty(process, 'versions', { value: { node: '20.9.0' } })`

const run = (source: string, ...flags: string[]) =>
  spawnSync(process.execPath, [...flags, source, '--version'], { cwd: repository, encoding: 'utf8' })

describe.each(programs)('$name', ({ name, source }) => {
  test('starts wherever env finds Node.js, also if env splits no words', { timeout: 30_000 }, () => {
    expect(readFileSync(join(repository, source), 'utf8').split('\n')[0]).toBe('#!/usr/bin/env node')
    expect(run(source)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      stderr: '',
    })
  })

  test('says which Node.js it needs if it is started with an older one', { timeout: 30_000 }, () => {
    const { status, stderr, stdout } = run(source, '--import', OLD_NODE)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(
      new RegExp(`^${name} needs Node\\.js 24 or newer, but .* is v[\\d.]+: install a newer one.*\n$`),
    )
  })

  test('begins with a file that an older Node.js can parse', () => {
    const text = stripTypeScriptTypes(readFileSync(join(repository, source), 'utf8')).replaceAll(
      /\/\*.*?\*\/|\/\/.*$/gms,
      '',
    )
    expect(text).not.toMatch(/^\s*(import|export) |await |\?\.|\?\?|\|\|=|#\w+ ?[=;(]/m)
  })
})
