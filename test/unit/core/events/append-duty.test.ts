import { describe, expect, test } from 'vitest'
import {
  FIRST_DUTY,
  nextDuty,
  type AppendDuty,
  type DutyInput,
} from '../../../../cache-service/core/events/append-duty.ts'

const STATES = {
  first: FIRST_DUTY,
  standby: { kind: 'standby', gapsSeen: 4, hasLateValues: false },
  late: { kind: 'standby', gapsSeen: 4, hasLateValues: true },
  appending: { kind: 'appending' },
  owing: { kind: 'owing', reason: 'overflow' },
} as const satisfies Record<string, AppendDuty>

const INPUTS = {
  'lease taken': { kind: 'lease_taken' },
  'lease lost': { kind: 'lease_lost' },
  missed: { kind: 'missed', reason: 'redis_failed' },
  'gap appended': { kind: 'gap_appended' },
  'set without an event, no gap since': { kind: 'set_without_event', gaps: 4 },
  'set without an event, a gap since': { kind: 'set_without_event', gaps: 5 },
  'caught up': { kind: 'caught_up', gaps: 5 },
} as const satisfies Record<string, DutyInput>

type State = keyof typeof STATES
type Input = keyof typeof INPUTS

const TAKEN: AppendDuty = { kind: 'owing', reason: 'takeover' }
const MISSED: AppendDuty = { kind: 'owing', reason: 'redis_failed' }
const FIRST_LATE: AppendDuty = { kind: 'standby', gapsSeen: undefined, hasLateValues: true }
const SEEN: AppendDuty = { kind: 'standby', gapsSeen: 5, hasLateValues: false }
const { appending, first, late, owing, standby } = STATES

/** Every state and every input: the compiler refuses a table with a hole. */
const TABLE: Record<Input, Record<State, AppendDuty>> = {
  'lease taken': { first: TAKEN, standby: TAKEN, late: TAKEN, appending: TAKEN, owing: TAKEN },
  'lease lost': { first, standby, late, appending: FIRST_DUTY, owing: FIRST_DUTY },
  missed: { first, standby, late, appending: MISSED, owing },
  'gap appended': { first, standby, late, appending, owing: appending },
  'set without an event, no gap since': {
    first: FIRST_LATE,
    standby,
    late,
    appending: FIRST_LATE,
    owing: FIRST_LATE,
  },
  'set without an event, a gap since': {
    first: FIRST_LATE,
    standby: late,
    late,
    appending: FIRST_LATE,
    owing: FIRST_LATE,
  },
  'caught up': { first: SEEN, standby: SEEN, late: SEEN, appending, owing },
}

describe.each(Object.keys(TABLE).filter((name): name is Input => name in INPUTS))(
  'the duty to append after: %s',
  (input) => {
    test.each(Object.keys(STATES).filter((name): name is State => name in STATES))('%s', (state) => {
      expect(nextDuty(STATES[state], INPUTS[input])).toEqual(TABLE[input][state])
    })
  },
)
