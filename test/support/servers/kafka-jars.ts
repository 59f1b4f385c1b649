import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { messageOf } from '../../../shared/errors.ts'
import { repository } from '../repository.ts'
import { runCommand } from '../processes/run-command.ts'

const run = promisify(execFile)

const pom = join(repository, 'deploy', 'local', 'kafka', 'pom.xml')
const cache = join(repository, '.cache')

const MIN_JAVA = 17
const COPY_DEPENDENCIES = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'

export const kafkaVersion = readKafkaVersion()

/** `<folder>/*` is the class path. Maven fetches the jars once (54 MB, about 30 s); then they stay in .cache/. */
export const kafkaJarsFolder = join(cache, `kafka-${kafkaVersion}`)

/** Explains what is missing for a native Kafka; undefined if it can be started (perhaps after a download). */
export async function whyNoNativeKafka(): Promise<string | undefined> {
  const problems: string[] = []
  const java = await javaMajorVersion()
  if (java === undefined) problems.push('Java is not in PATH')
  else if (java < MIN_JAVA) problems.push(`Java ${MIN_JAVA} or newer is required, but this is Java ${java}`)
  if (!existsSync(kafkaJarsFolder) && !(await canRun('mvn', '--version'))) {
    problems.push(`mvn is not in PATH, and Kafka's jars are not in ${kafkaJarsFolder} yet`)
  }
  if (problems.length === 0) return undefined
  return `${problems.join('; ')} (as root on Debian or Ubuntu: apt-get install default-jre-headless maven)`
}

export function javaCommand(): string {
  const home = process.env['JAVA_HOME']
  return home ? join(home, 'bin', 'java') : 'java'
}

/** Safe for concurrent processes: one of them fetches into a temporary folder, and then renames that. */
export async function fetchKafkaJars(): Promise<void> {
  if (existsSync(kafkaJarsFolder)) return
  mkdirSync(cache, { recursive: true })
  const unlock = await lockOrWait(`${kafkaJarsFolder}.lock`)
  if (unlock === undefined) return
  const partial = `${kafkaJarsFolder}.partial-${process.pid}`
  try {
    if (existsSync(kafkaJarsFolder)) return
    process.stderr.write(`fetching Kafka ${kafkaVersion} by Maven (54 MB, once) …\n`)
    const args = ['-B', '-q', '-f', pom, COPY_DEPENDENCIES, `-DoutputDirectory=${partial}`]
    const limits = { cwd: repository, env: process.env, timeoutMs: 600_000 }
    const { code, stdout, stderr } = await runCommand('mvn', args, limits)
    if (code !== 0) throw new Error(`\`mvn\` ended with ${code}:\n${stdout}${stderr}`)
    renameSync(partial, kafkaJarsFolder)
  } catch (error) {
    const reason = messageOf(error)
    throw new Error(`Maven could not fetch Kafka ${kafkaVersion}: ${reason}`, { cause: error })
  } finally {
    rmSync(partial, { recursive: true, force: true })
    unlock()
  }
}

/** Takes the lock; or waits until another process has fetched the jars, and returns undefined. */
async function lockOrWait(path: string): Promise<(() => void) | undefined> {
  while (!existsSync(kafkaJarsFolder)) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return () => rmSync(path, { force: true })
    } catch {
      if (!isHeld(path)) rmSync(path, { force: true })
      else await sleep(200)
    }
  }
  return undefined
}

function isHeld(path: string): boolean {
  try {
    const pid = Number(readFileSync(path, 'utf8'))
    if (pid === 0) return true
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function javaMajorVersion(): Promise<number | undefined> {
  try {
    const { stderr } = await run(javaCommand(), ['-version'])
    const version = /version "(\d+)/.exec(stderr)?.[1]
    return version === undefined ? undefined : Number(version)
  } catch {
    return undefined
  }
}

async function canRun(command: string, ...args: string[]): Promise<boolean> {
  try {
    await run(command, args)
    return true
  } catch {
    return false
  }
}

function readKafkaVersion(): string {
  const version = /<kafka.version>(.+)<\/kafka.version>/.exec(readFileSync(pom, 'utf8'))?.[1]
  if (version === undefined) throw new Error(`no <kafka.version> in ${pom}`)
  return version
}
