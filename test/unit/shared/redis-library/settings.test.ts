import { createPrivateKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missingFlags } from '../../../../shared/redis-library/keyspace-notifications.ts'
import { RedisSettingsError } from '../../../../shared/redis-library/errors.ts'
import { redisSettingsFrom } from '../../../../shared/redis-library/environment.ts'
import { repository } from '../../../support/repository.ts'
import { createTlsFiles } from '../../../support/servers/tls-certificates.ts'

const defaults = { host: 'redis', port: 6379, db: 0, timeoutMs: 5_000 }

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'test-settings-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

describe('settings from the environment', () => {
  test('have the default where a variable is unset or empty', () => {
    expect(redisSettingsFrom({})).toEqual(defaults)
    expect(redisSettingsFrom({ REDIS_HOST: '', REDIS_PORT: '', REDIS_DB: '', REDIS_PASSWORD: '' })).toEqual(
      defaults,
    )
  })

  test('have the values of the variables', () => {
    const environment = {
      REDIS_HOST: '::1',
      REDIS_PORT: '7000',
      REDIS_DB: '3',
      REDIS_USERNAME: 'me',
      REDIS_PASSWORD: 'p:/@ ',
      REDIS_TLS: 'TRUE',
      REDIS_TLS_REJECT_UNAUTHORIZED: 'no',
      REDIS_TIMEOUT_S: ' 1.5 ',
    }
    expect(redisSettingsFrom(environment)).toEqual({
      ...{ host: '::1', port: 7000, db: 3, username: 'me', password: 'p:/@ ', timeoutMs: 1_500 },
      tls: { ca: undefined, cert: undefined, key: undefined, rejectUnauthorized: false },
    })
  })

  test('come from REDIS_URL instead if it is set, with TLS for rediss', () => {
    const settings = redisSettingsFrom({ REDIS_URL: 'rediss://me:p%2F%40@cache.local:7000/3' })
    expect(settings).toMatchObject({
      host: 'cache.local',
      port: 7000,
      db: 3,
      username: 'me',
      password: 'p/@',
    })
    expect(settings.tls).toBeDefined()
    expect(redisSettingsFrom({ REDIS_URL: 'redis://[::1]' })).toEqual({ ...defaults, host: '::1' })
  })

  test('include secrets and certificates from files', () => {
    const settings = redisSettingsFrom({
      REDIS_PASSWORD_FILE: file('password', 'secret\n'),
      REDIS_TLS: 'yes',
      REDIS_TLS_CA_FILE: join(repository, 'test/fixtures/ca.pem'),
    })
    const ca = expect.stringContaining('BEGIN CERTIFICATE')
    expect(settings).toMatchObject({ password: 'secret', tls: { ca } })
  })

  test('reject a private key that is encrypted or belongs to another certificate', async () => {
    const { clientCertificate, clientKey, serverKeyPath } = await createTlsFiles(folder)
    const encrypted = createPrivateKey(clientKey).export({
      ...{ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
    })
    const settingsWith = (key: string) => () =>
      redisSettingsFrom({
        ...{ REDIS_TLS: 'true', REDIS_TLS_CERT_FILE: file('cert.pem', clientCertificate) },
        REDIS_TLS_KEY_FILE: key,
      })
    expect(settingsWith(file('key.pem', clientKey))).not.toThrow()
    expect(settingsWith(file('encrypted.pem', String(encrypted)))).toThrow(/REDIS_TLS_KEY_FILE .*passphrase/)
    expect(settingsWith(serverKeyPath)).toThrow(/REDIS_TLS_KEY_FILE must name the private key of/)
  })

  test('that are invalid are all named in one error, which quotes no value', () => {
    const bad = {
      REDIS_HOST: 'hunter2:6379',
      REDIS_PORT: '65536',
      REDIS_DB: '-1',
      REDIS_TLS: 'perhaps',
      REDIS_PASSWORD_FILE: join(folder, 'absent'),
      REDIS_TLS_CA_FILE: file('no.pem', 'hunter2'),
    }
    const failure = () => redisSettingsFrom(bad)
    expect(failure).toThrow(RedisSettingsError)
    expect(failure).toThrow(/^(?!.*hunter2)/)
    for (const name of Object.keys(bad)) expect(failure).toThrow(name)
  })

  test.each([
    'http://redis',
    'redis://redis/x',
    'redis://',
    'redis://%zz@redis',
    'redis://redis?db=1',
    'redis:6379',
  ])('reject the URL %s without quoting it', (url) => {
    expect(() => redisSettingsFrom({ REDIS_URL: url })).toThrow(
      'REDIS_URL must be redis:// or rediss://[user[:password]@]host[:port][/db]',
    )
  })
})

test.each([
  ['', 'K$lgx'],
  ['K$lgx', ''],
  ['AK', ''],
  ['A', 'K'],
  ['AE', 'K'],
  ['Exe', 'K$lg'],
  ['Kgh', '$lx'],
])('of the needed notification flags, %j lacks %j', (flags, missing) => {
  expect(missingFlags(flags)).toBe(missing)
})
