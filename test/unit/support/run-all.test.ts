import { describe, expect, test } from 'vitest'
import { countTests } from '../../run-all.ts'

const file = { status: 'passed', assertionResults: [{}] }
const report = {
  numPassedTests: 5,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [file],
}

describe('the total of all tests', () => {
  test('equals the count of vitest', () => {
    expect(countTests(report, true)).toEqual({ passed: 5, failed: 0, skipped: 0 })
    const mixed = { ...report, numFailedTests: 2, numPendingTests: 1, numTodoTests: 1 }
    expect(countTests(mixed, false)).toEqual({ passed: 5, failed: 2, skipped: 2 })
  })

  test('counts each file that could not be loaded as a failure', () => {
    const unloaded = { status: 'failed', assertionResults: [] }
    expect(countTests({ ...report, testResults: [file, unloaded, unloaded] }, false).failed).toBe(2)
  })

  test('counts a failure when vitest fails outside of tests or writes no report', () => {
    expect(countTests(report, false).failed).toBe(1)
    expect(countTests(undefined, false)).toEqual({ passed: 0, failed: 1, skipped: 0 })
  })
})
