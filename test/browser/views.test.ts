import { describe, expect, onTestFinished, test } from 'vitest'
import { banner, following, holdAnswer } from '../support/browser/open-page.ts'
import { usePlatform } from '../support/browser/use-platform.ts'
import { eventually } from '../support/eventually.ts'
import { lagReport, partitionLag } from '../support/records/lag-report.ts'
import { lastingLagReporter } from '../support/records/lasting-reporter.ts'

const { platform, openPage } = await usePlatform()

describe('the view', () => {
  test('of the workers shows the lag of each partition, its worker, and since when', async () => {
    onTestFinished(() => platform.report({}))
    await platform.report({
      lag: [
        { partition: 0, records: 17, seconds: 0.2 },
        { partition: 1, records: 0, seconds: 0 },
        { partition: 2, records: 9_000, seconds: 3_600 },
      ],
    })
    const page = await openPage('#workers')
    const table = page.getByRole('table', { name: 'Lag by partition' })
    await table.getByRole('row', { name: /^2 9,000 \d+:\d\d:\d\d 1 h ago worker-1$/ }).waitFor()
    const partitions = () => table.getByRole('rowheader').allInnerTexts()
    expect(await partitions()).toEqual(['2', '0', '1'])
    await table.getByRole('button', { name: 'Partition' }).click()
    await eventually(async () => expect(await partitions()).toEqual(['0', '1', '2']))
    const workers = page.getByRole('table', { name: 'Workers' })
    await workers.getByText('iot_validated_data, group cache_service_group').waitFor()
    await workers.getByRole('cell', { name: /^(now|\d s ago)$/ }).waitFor()
  })

  test('of the workers shows the consumer groups that a lag monitor measures, and fits a phone', async () => {
    const reporter = lastingLagReporter(platform.client)
    const unread = { records: 4_711, seconds: 93.2, owner: null, seconds_until_deleted: 7_200 }
    const partitions = [partitionLag(), partitionLag({ partition: 1, state: 'no_consumer', ...unread })]
    const missing = { topic: 'old', problem: 'the topic old does not exist', partitions: [] }
    const topics = [{ topic: 'iot_validated_data', problem: null, partitions }, missing]
    await reporter.write(lagReport({ group: 'influxdb_ingestor', topics, records: 4_714 }))
    const page = await openPage('#workers')
    await page.getByRole('heading', { name: 'influxdb_ingestor' }).waitFor()
    await page.getByText('the topic old does not exist').waitFor()
    const table = page.getByRole('table', { name: 'Lag of influxdb_ingestor by partition' })
    const row = table.getByRole('row', { name: /No consumer/ })
    for (const text of ['4,711', '1 min', 'kept for 2 h']) await row.getByText(text).waitFor()
    await page.setViewportSize({ width: 360, height: 740 })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360)
  })

  test('of the workers keeps the last report of one that no longer reports', async () => {
    onTestFinished(() => platform.report({}))
    const page = await openPage('#workers')
    await page.getByText('consuming').waitFor()
    await platform.stopReporting()
    await page.getByText('No longer reports').waitFor()
    await banner(page).getByText('No worker reports.').waitFor()
  })

  test('of the dead letters counts them by reason, and has the commands to examine and to replay them', async () => {
    const page = await openPage('#dead-letters', { permissions: ['clipboard-read', 'clipboard-write'] })
    const reasons = page.getByRole('table', { name: 'Dead letters by reason' })
    await reasons.getByRole('row', { name: 'not_json 14' }).waitFor()
    await reasons.getByRole('button', { name: 'errors replay --reason bad_timestamp --dry-run' }).waitFor()
    onTestFinished(() => platform.report({}))
    const latest = page.getByRole('list', { name: 'The latest' })
    await latest.getByText('timestamp: <img src=x onerror="document.title=3">').click()
    await latest.getByText('iot_validated_data, partition 3, offset 4711').waitFor()
    await latest.getByText('cache-cli explain --partition 3 --offset 4711').waitFor()
    const copy = latest.getByRole('button', {
      name: 'Copy cache-cli errors replay --source 3:4711',
      exact: true,
    })
    await copy.click()
    await copy.getByText('Copied').waitFor()
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(
      'cache-cli errors replay --source 3:4711',
    )
    const newer = { at: new Date().toISOString(), reason: 'bad_key', topic: 't', partition: 0, offset: '1' }
    await platform.report({ dead_letters: [newer] })
    await page.getByText('1 newer dead letter').waitFor()
    await latest.getByText('timestamp: <img').click()
    await latest.getByText('bad_key').waitFor()
  })

  test('of the dead letters keeps an open one as long as it is open, and no longer', async () => {
    onTestFinished(() => platform.report({}))
    const page = await openPage('#dead-letters')
    const latest = page.getByRole('list', { name: 'The latest' })
    const opened = latest.getByText('timestamp: <img')
    await opened.click()
    await latest.getByText('cache-cli explain --partition 3').waitFor()
    // The worker is restarted.
    await platform.report({ dead_letters: [], dead_letters_total: 0, dead_letters_by_reason: {} })
    await page.getByText('The running workers have sent no dead letters').waitFor()
    await latest.getByText('cache-cli explain --partition 3').waitFor()
    const newer = { at: new Date().toISOString(), reason: 'bad_key', topic: 't', partition: 0, offset: '1' }
    await platform.report({ dead_letters: [newer] })
    await page.getByText('1 newer dead letter').waitFor()
    await opened.click()
    await latest.getByText('bad_key').waitFor()
    expect(await latest.getByRole('listitem').count()).toBe(1)
  })

  test('of Redis shows memory, policy, hit rate and persistence, and what is dangerous', async () => {
    await platform.client.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru')
    onTestFinished(async () => {
      await platform.client.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction')
    })
    const page = await openPage('#redis')
    const memory = page.getByRole('region', { name: 'Memory' })
    await memory.getByText('1 GiB', { exact: true }).waitFor()
    await memory.getByText('allkeys-lru').waitFor()
    await memory.getByText('Redis may silently delete devices').waitFor()
    await page
      .getByRole('region', { name: 'Server' })
      .getByText(/(Redis|Valkey) \d+\.\d/)
      .waitFor()
    await page.getByRole('region', { name: 'Lookups' }).getByText(/\d %/).first().waitFor()
    await page.getByRole('region', { name: 'Persistence' }).getByText('Append-only file').waitFor()
  })

  test('of the state shows values with all their digits, and follows updates without asking for the state again', async () => {
    await platform.publish('limits', '{"serial":9007199254740993}')
    const page = await openPage('#state')
    const requests: string[] = []
    page.on('request', (request) => requests.push(new URL(request.url()).pathname))
    await following(page)
    await page.getByText('limits', { exact: true }).click()
    await page.getByText('"serial": 9007199254740993').waitFor()
    for (let i = 0; i < 20; i++) await platform.publish('limits', `{"serial":18446744073709551615,"i":${i}}`)
    await page.getByText('"i": 19').waitFor()
    await page.getByText('"serial": 18446744073709551615').waitFor()
    await page
      .getByRole('listitem')
      .filter({ hasText: 'limits' })
      .getByText('changed', { exact: true })
      .waitFor()
    await platform.publish('large', `{"text":"${'x'.repeat(70_000)}","end":1.0}`)
    await page.getByText('large', { exact: true }).click()
    await page.getByText('"end": 1.0').waitFor()
    expect(requests.filter((path) => path.startsWith('/api/state'))).toEqual(['/api/state/large'])
  })

  test('of the state keeps the values of events that are newer than an answer', async () => {
    await platform.publish('late', '{"number":1}')
    const page = await openPage('#state')
    await page.getByText('late', { exact: true }).click()
    await page.getByText('"number": 1').waitFor()
    const state = await holdAnswer(page, '**/api/state')
    await page.reload()
    await state.answered
    await following(page)
    await platform.publish('late', '{"number":2}')
    await page.getByRole('link', { name: 'Changes' }).click()
    await page.getByRole('link', { name: 'late' }).click()
    await state.release()
    await page.getByRole('list', { name: 'Key-values' }).getByText('late', { exact: true }).click()
    await page.getByText('"number": 2').waitFor()
  })

  test('of the state leaves out a type that no longer exists', async () => {
    await platform.publish('fleeting', '1')
    const page = await openPage('#state', { mayComplain: true })
    await page.getByText('fleeting', { exact: true }).waitFor()
    await following(page)
    await page.route('**/api/state/fleeting', async (route) => {
      await platform.client.del('fleeting')
      await platform.client.srem('cache_service:{events}:types', 'fleeting')
      await route.fallback()
    })
    // Events do not carry values of this size, so the page asks for it.
    await platform.publish('fleeting', JSON.stringify('x'.repeat(70_000)))
    await page.getByText('fleeting', { exact: true }).waitFor({ state: 'detached' })
  })

  test('of the state remains usable with thousands of types', async () => {
    const types = Array.from({ length: 3_000 }, (_, i) => `many:${String(i).padStart(4, '0')}`)
    await platform.client.mset(
      types.flatMap((type) => [type, `{"updated":null,"valid":true,"values":["${type}"]}`]),
    )
    await platform.client.sadd('cache_service:{events}:types', ...types)
    onTestFinished(async () => void (await platform.client.srem('cache_service:{events}:types', ...types)))
    const page = await openPage('#state')
    await page.getByText('The first 100 are shown').waitFor()
    await page.getByRole('searchbox', { name: 'Type contains' }).fill('many:2999')
    await page.getByText('many:2999', { exact: true }).click()
    await page.getByLabel('Value of many:2999').getByText('"many:2999"').waitFor()
    expect(await page.getByRole('list', { name: 'Key-values' }).getByRole('listitem').count()).toBe(1)
  })

  test('of the changes lists them as they happen, can be paused, and links to the devices', async () => {
    const page = await openPage('#changes')
    await page.getByText('No changes since this page was opened').waitFor()
    await following(page)
    await platform.hints.hint('changed', ['even:002', 'a <b>&'], 3)
    await platform.publish('prices', '{"gas":13}')
    const table = page.getByRole('table', { name: 'Changes, newest first' })
    await table.getByRole('link', { name: 'a <b>&' }).waitFor()
    await table.getByText('3 further devices').waitFor()
    await table.getByRole('link', { name: 'prices' }).waitFor()
    await page.getByRole('button', { name: 'Pause' }).click()
    await platform.hints.hint('deleted', ['even:004'], 0)
    await page.getByText('Paused: 1 newer change').waitFor()
    expect(await table.getByText('even:004').count()).toBe(0)
    await page.getByRole('button', { name: 'Paused' }).click()
    await table.getByRole('row', { name: 'deleted even:004' }).waitFor()
    await page.getByRole('searchbox', { name: 'Id contains' }).fill('even:002')
    await table.getByText('a <b>&').waitFor({ state: 'detached' })
    await table.getByRole('link', { name: 'even:002' }).click()
    await page.getByRole('heading', { level: 1, name: 'even:002' }).waitFor()
  })
})
