/** The rule for unusual spending. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MIN_HISTORY_DAYS, usualIfExceeded } from '../../../src/panel/alerts/spending-alerts.ts'

const cost = fc.integer({ min: 1, max: 1_000_000_000_000 })
const history = fc.array(cost, { minLength: MIN_HISTORY_DAYS, maxLength: 30 })
const median = (values: readonly number[]): number => usualIfExceeded(Number.MAX_VALUE, values)!

test('constant daily spending never raises an alert', () => {
  fc.assert(
    fc.property(cost, fc.integer({ min: 0, max: 40 }), (each, days) => {
      expect(usualIfExceeded(each, Array<number>(days).fill(each))).toBeUndefined()
    }),
  )
})

test('ten times the usual spending always raises an alert, even after uneven days', () => {
  fc.assert(
    fc.property(history, (days) => {
      expect(usualIfExceeded(10 * median(days), days)).toBe(median(days))
    }),
  )
})

test('a history of too few days never raises one', () => {
  fc.assert(
    fc.property(cost, fc.array(cost, { maxLength: MIN_HISTORY_DAYS - 1 }), (spent, days) => {
      expect(usualIfExceeded(spent, days)).toBeUndefined()
    }),
  )
})

test('nothing up to the median raises one, and days that were unusual themselves hide none', () => {
  fc.assert(
    fc.property(history, fc.double({ min: 0, max: 1, noNaN: true }), (days, share) => {
      expect(usualIfExceeded(share * median(days), days)).toBeUndefined()
    }),
  )
  expect(usualIfExceeded(500, [9, 10, 11, 10, 9, 10, 11, 900, 950])).toBe(10)
  // Days without any difference leave room as well.
  expect(usualIfExceeded(14, Array<number>(7).fill(10))).toBeUndefined()
  expect(usualIfExceeded(14, [9, 10, 11, 10, 9, 10, 11])).toBeUndefined()
})
