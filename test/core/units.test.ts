import { expect, test } from 'vitest'
import {
  showAge,
  showCount,
  showCountdown,
  showDuration,
  showLatency,
  showNumberOf,
  showPercent,
  showRate,
  singular,
} from '../../src/core/units.ts'

test.each([
  [0, '0 ms'],
  [85.4, '85 ms'],
  [99.4, '99 ms'],
  [100, '0.1 s'],
  [2_140, '2.1 s'],
  [59_900, '59.9 s'],
  [84_000, '1 min 24 s'],
])('a latency of %d ms is shown as %s', (ms, shown) => {
  expect(showLatency(ms)).toBe(shown)
})

test.each([
  [400, '0 s'],
  [8_000, '8 s'],
  [59_600, '1 min'],
  [86_000, '1 min 26 s'],
  [7_500_000, '2 h 5 min'],
  [86_400_000, '1 d'],
  [90_000_000, '1 d 1 h'],
  [2_592_000_000, '30 d'],
])('a duration of %d ms is shown as %s', (ms, shown) => {
  expect(showDuration(ms)).toBe(shown)
})

test.each([
  [-500, '0 s ago'],
  [12_300, '12 s ago'],
  [59_700, '1 min ago'],
  [3_599_000, '59 min ago'],
  [7_200_000, '2 h ago'],
  [200_000_000, '2 d ago'],
])('an age of %d ms is shown as %s', (ms, shown) => {
  expect(showAge(ms)).toBe(shown)
})

test.each([
  [-1, '0:00'],
  [1, '0:01'],
  [1_748_000, '29:08'],
])('%d ms count down from %s', (ms, shown) => {
  expect(showCountdown(ms)).toBe(shown)
})

test.each([
  ['leads', 'lead'],
  ['s', 's'],
  ['work', 'work'],
])('one of %s is a %s', (unit, one) => {
  expect(singular(unit)).toBe(one)
})

test('a count is shown as the language does, however long', () => {
  for (const count of [0, 7, 999, 1_000, 12_345, 100_000, 1_234_567, 9_007_199_254_740_991, -1, -999, -1_000, -123_456])
    expect(showCount(count)).toBe(count.toLocaleString('en-US'))
})

test('shares and numbers of things are shown in one style', () => {
  expect([showPercent(90.14, 1), showPercent(34.4), showRate(98, 100)]).toEqual(['90.1%', '34%', '98% (98/100)'])
  expect([1, 2, 1_000].map((count) => showNumberOf(count, 'call'))).toEqual(['1 call', '2 calls', '1,000 calls'])
})
