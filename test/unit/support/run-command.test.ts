import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import { runCommand } from '../../support/processes/run-command.ts'

const here = { cwd: tmpdir(), timeoutMs: 30_000 }

describe('runCommand', () => {
  it('returns the exit code and both outputs', async () => {
    const exit = await runCommand('sh', ['-c', 'echo out; echo err >&2; exit 3'], here)
    expect(exit).toEqual({ code: 3, stdout: 'out\n', stderr: 'err\n' })
  })

  it('names the command, the limit and the output so far when the command hangs', async () => {
    const hangs = runCommand('sh', ['-c', 'echo half; sleep 600'], { ...here, timeoutMs: 2_000 })
    await expect(hangs).rejects.toThrow('`sh -c echo half; sleep 600` did not end within 2 s: half')
  })

  it('names the signal that ended the command', async () => {
    const killed = runCommand('sh', ['-c', 'echo half; kill -9 $$'], here)
    await expect(killed).rejects.toThrow('`sh -c echo half; kill -9 $$` was ended by SIGKILL: half')
  })

  it('rejects when there is no such command', async () => {
    await expect(runCommand('no-such-command', [], here)).rejects.toThrow('ENOENT')
  })
})
