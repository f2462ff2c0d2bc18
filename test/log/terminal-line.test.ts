import { describe, expect, test } from 'vitest'
import type { RuntimeEvent } from '../../src/core/events.ts'
import { textLine } from '../../src/log/terminal-line.ts'
import { budgetWarned } from '../support/events.ts'
import { output } from './support.ts'

describe('a line on the terminal', () => {
  // Local time: the test sets the zone.
  const time = new Date('2026-11-21T14:23:45.000Z').toTimeString().slice(0, 8)

  test('a line on the terminal has local time, a level padded to five, and the message', () => {
    expect(textLine(output('lead 23 done'), { color: false })).toBe(`[${time}] INFO  lead 23 done`)
    expect(textLine({ ...output('spent'), level: 'ERROR' }, { color: false })).toBe(`[${time}] ERROR spent`)
  })

  test('a line on the terminal is coloured by level only when it may be', () => {
    expect(textLine({ ...output('x'), level: 'WARN' }, { color: true })).toBe(`[${time}] \u001b[33mWARN \u001b[0m x`)
  })

  test('a line on the terminal is wrapped below its message, and ends with its note', () => {
    const lines = textLine(output('one two three four five six seven eight nine'), {
      color: false,
      columns: 60,
      note: ' · $1',
    })
    expect(lines.split('\n')).toEqual([
      `[${time}] INFO  one two three four five six seven eight`,
      `${' '.repeat(17)}nine · $1`,
    ])
  })

  test('a line on the terminal names its agent where several run', () => {
    expect(textLine(output('done'), { color: false, who: 'lg-7a3f9c2d' })).toBe(`[${time}] INFO  lg-7a3f9c2d · done`)
  })

  test('a traceback stands below its error, as it was written', () => {
    const text = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nKeyError: 1'
    const event: RuntimeEvent = {
      ...output('KeyError: 1'),
      level: 'ERROR',
      type: 'agent.output',
      data: { stream: 'stderr', text },
    }
    expect(textLine(event, { color: false }).split('\n')).toEqual([
      `[${time}] ERROR KeyError: 1`,
      '  │ Traceback (most recent call last):',
      '  │   File "a.py", line 1, in <module>',
      '  │ KeyError: 1',
    ])
  })

  test('a finding is one line', () => {
    const event: RuntimeEvent = {
      ...output('EMAIL in reply → [EMAIL_REDACTED]'),
      level: 'CRIT',
      type: 'pii.found',
      data: {
        ...{ incident_id: 'inc-1', pii_type: 'email', risk: 'HIGH', action: 'redact', place: 'reply' },
        ...{ call_id: null, value_hash: 'ab', start: 0, end: 1, unit: null },
      },
    }
    expect(textLine(event, { color: false })).toBe(`[${time}] CRIT  EMAIL in reply → [EMAIL_REDACTED]`)
  })

  test('a decision comes with its facts below', () => {
    const event: RuntimeEvent = {
      ...output(''),
      ...budgetWarned,
    }
    expect(textLine(event, { color: false }).split('\n')).toEqual([
      `[${time}] WARN  Budget at 90.1%`,
      '  ├─ Spent: $45.07 of $50.00 (90.1%)',
      '  └─ Suggested: approve $25.00 more',
    ])
  })

  test.each([
    ['probe', 'the probe'],
    ['operator', 'an operator'],
  ] as const)('a circuit closed by %s is reported with the consequence', (by, who) => {
    const closed: RuntimeEvent = { ...output('closed'), type: 'circuit.closed', data: { circuit: 'linkedin_api', by } }
    expect(textLine(closed, { color: false }).split('\n').slice(1)).toEqual([
      `  ├─ By: ${who}`,
      '  └─ Calls: live again, failures counted from zero',
    ])
  })

  test('the output of an agent cannot move the cursor, forge a line or hide text', () => {
    const nasty = 'a\u001b[2J\u001b]0;title\u0007b\r\n[00:00:00] INFO  forged\u0008\u202ec\u009b31m'
    const line = textLine(output(nasty), { color: false })
    expect(line).toBe(`[${time}] INFO  ab [00:00:00] INFO  forgedc`)
  })
})
