import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { messageOf } from '../../../shared/errors.ts'
import { runCommand } from './run-command.ts'
import { repository } from '../repository.ts'

// The original of RedisService and RedisConfigStore. Its metadata asks for Python 3.12.7 and for all that its other
// parts need; `cledar.redis` also runs on 3.11, with these two.
const SDK = 'cledar-sdk==2.3.0'
const NEEDED = ['redis==5.2.1', 'pydantic==2.14.3']
const SYSTEM_PACKAGES = 'as root on Debian or Ubuntu: apt-get install python3 python3-pip'

/** Each call of python3. Fetching is two of them: less together than a hook of the tests may take. */
const PYTHON_WITHIN_MS = 120_000

/** The folder for PYTHONPATH. Fetched by pip once (a few seconds; `make test` does it first), then kept in .cache/. */
export async function fetchPythonSdk(): Promise<string> {
  // pydantic has a compiled part: each minor version of Python needs its own.
  const version = await python('--version')
  const minor = /^Python (3\.\d+)/.exec(version)?.[1]
  if (minor === undefined || Number(minor.slice(2)) < 11) {
    throw new Error(`Python 3.11 or newer is needed, not ${version.trim() || 'none'} (${SYSTEM_PACKAGES})`)
  }
  const folder = join(
    repository,
    '.cache',
    `python-${minor}-${[SDK, ...NEEDED].join('-').replaceAll('==', '-')}`,
  )
  if (existsSync(folder)) return folder
  const partial = `${folder}.partial-${process.pid}`
  mkdirSync(partial, { recursive: true })
  try {
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', partial]
    await python(...install, '--no-deps', '--ignore-requires-python', SDK)
    await python(...install, ...NEEDED)
    try {
      renameSync(partial, folder)
    } catch (error) {
      if (!existsSync(folder)) throw error // else somebody was faster; theirs is as good
    }
    return folder
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

async function python(...args: string[]): Promise<string> {
  const limits = { cwd: repository, env: process.env, timeoutMs: PYTHON_WITHIN_MS }
  try {
    const { code, stderr, stdout } = await runCommand('python3', args, limits)
    if (code !== 0) throw new Error(`exit ${code}: ${stderr}`)
    return stdout
  } catch (error) {
    const reason = messageOf(error)
    const command = `python3 ${args.slice(0, 3).join(' ')}`
    throw new Error(`${command} failed: ${reason}\nPython and pip: ${SYSTEM_PACKAGES}`, { cause: error })
  }
}

export type PythonPeer = {
  /** Calls a function of the script; what it returned. Rejects with Python's message when it raised. */
  call(name: string, ...args: unknown[]): Promise<unknown>
  close(): Promise<void>
}

type Answer = { result: unknown } | { error: string }

/** A Python process that runs a script of test/interop/, one call a line. */
export async function startPythonPeer(script: string, ...args: string[]): Promise<PythonPeer> {
  const folder = await fetchPythonSdk()
  const child = spawn('python3', [join(repository, 'test', 'interop', script), ...args], {
    env: { PATH: process.env['PATH'], PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  let last: Promise<unknown> = Promise.resolve()

  async function ask(request: string): Promise<unknown> {
    child.stdin.write(`${request}\n`)
    const { value, done } = await lines.next()
    if (done === true) throw new Error('the Python process has ended')
    const answer: Answer = JSON.parse(value)
    if ('error' in answer) throw new Error(answer.error)
    return answer.result
  }
  return {
    call(name, ...callArgs) {
      const asked = last.then(() => ask(JSON.stringify([name, ...callArgs])))
      last = asked.catch(() => undefined)
      return asked
    },
    async close() {
      child.kill('SIGKILL') // the watcher's thread never ends
      await exited
    },
  }
}
