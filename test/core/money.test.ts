import { describe, expect, test } from 'vitest'
import { costOf } from '../../src/budget/prices.ts'
import {
  add,
  addUsd,
  fromUsd,
  NANOS_PER_USD,
  type Nanodollars,
  nanodollars,
  parseAmount,
  showExactUsd,
  showUsd,
  showUsdParts,
  toUsd,
  type Usd,
  usd,
  ZERO_NANOS,
  ZERO_USD,
} from '../../src/core/money.ts'
import fc from '../support/fast-check.ts'

describe('money', () => {
  const nanos = fc.integer({ min: -9e15, max: 9e15 }).map(nanodollars)

  test('an amount of money has its own type, which neither a number, a text nor another unit satisfies', () => {
    const [amount, text] = [nanodollars(5), usd('5')]
    // @ts-expect-error
    const plain: Nanodollars = 5
    // @ts-expect-error
    const sum: Nanodollars = amount + amount
    // @ts-expect-error
    const written: Usd = '5'
    // @ts-expect-error
    const other: Usd[] = [amount]
    expect([plain, sum, written, other[0], text]).toEqual([5, 10, '5', 5, '5'])
    for (const invalid of [0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => nanodollars(invalid)).toThrow(RangeError)
    }
    for (const invalid of ['', '$5', '5e3', '1.0000000001']) expect(() => usd(invalid)).toThrow(RangeError)
  })

  test('money is written and read back exactly', () => {
    fc.assert(fc.property(nanos, (amount) => fromUsd(toUsd(amount)) === amount))
  })

  test('money is written as short as it is exact', () => {
    const amounts = [5_290_000_000, 1, -500_000_000, 0, 50e9].map(nanodollars)
    expect(amounts.map(toUsd)).toEqual(['5.29', '0.000000001', '-0.5', '0', '50'])
    fc.assert(fc.property(nanos, (amount) => /^-?\d+(\.\d*[1-9])?$/.test(toUsd(amount))))
  })

  test('a whole and its parts are shown with one precision, and add up as shown', () => {
    const shown = (...amounts: string[]) => showUsdParts(...(amounts.map(usd) as [Usd]))
    expect(shown('20', '0', '0.015', '19.985')).toEqual(['$20.000', '$0.000', '$0.015', '$19.985'])
    expect(shown('9.2', '9.048', '0.0054', '0.1466')).toEqual(['$9.2000', '$9.0480', '$0.0054', '$0.1466'])
    expect(shown('20', '4', '0', '16')).toEqual(['$20.00', '$4.00', '$0.00', '$16.00'])
    const amount = fc.integer({ min: 0, max: 5e12 }).map(nanodollars)
    const units = (text: string) => BigInt(text.replace(/[$.]/g, ''))
    fc.assert(
      fc.property(amount, amount, amount, (...parts) => {
        const [whole, ...others] = showUsdParts(toUsd(add(...parts)), ...parts.map(toUsd)).map(units)
        return whole === others.reduce((sum, part) => sum + part)
      }),
    )
  })

  test('money adds up exactly where doubles do not', () => {
    expect(addUsd(usd('0.1'), usd('0.2'))).toBe('0.3')
    expect(addUsd(usd('4.35'), usd('-4.35'))).toBe('0')
  })

  test('the cost of a million calls is the sum of its parts, to the last digit', () => {
    // $0.0000001375 is half a nanodollar more than can be written: each call is rounded up, and nothing drifts.
    const rate = (base: number) => ({ base, tiers: [] })
    const free = rate(0)
    const price = { input: rate(137_500), cachedInput: free, cacheWrite: free, cacheWriteHour: free, output: free }
    const usage = { input: 1, cachedInput: 0, cacheWrite: 0, cacheWriteHour: 0, output: 0 }
    const one = toUsd(costOf({ ...price, contextWindow: null, source: 'test' }, usage))
    let total = ZERO_USD
    for (let call = 0; call < 1_000_000; call++) total = addUsd(total, one)
    expect(total).toBe('0.138')
    expect(fromUsd(total)).toBe(1_000_000 * 138)
    // Two tokens of it are a whole number: 275 nanodollars, half a million times.
    let pairs = ZERO_NANOS
    for (let call = 0; call < 500_000; call++) {
      pairs = add(pairs, costOf({ ...price, contextWindow: null, source: 'test' }, { ...usage, input: 2 }))
    }
    expect(toUsd(pairs)).toBe('0.1375')
  })

  test('money beyond nine million dollars is exact as well', () => {
    expect(addUsd(usd('9000000'), usd('9000000'))).toBe('18000000')
    expect(addUsd(usd('-9000000'), usd('-1'))).toBe('-9000001')
    expect(addUsd(addUsd(usd('9000000'), usd('8999999.999999999')), usd('-1'))).toBe('17999998.999999999')
    expect(addUsd(usd('12345678901234567890.000000001'), usd('0.1'))).toBe('12345678901234567890.100000001')
    expect(addUsd(usd('12345678901234567890.000000001'), usd('-12345678901234567890'))).toBe('0.000000001')
  })

  test('more money than a number can count is written, read and shown', () => {
    expect(toUsd(2n ** 70n)).toBe('1180591620717.411303424')
    expect(fromUsd(usd('90000000000'))).toBe(9e19)
    expect(showUsd(usd('90000000000.5'))).toBe('$90000000000.50')
  })

  test.each([
    ['50', 50],
    ['50.00', 50],
    ['$50', 50],
    ['0', 0],
    ['0.000000001', 1e-9],
    [' 7 ', 7],
    ['9000000', 9_000_000],
  ])('money typed as "%s" is understood', (text, usd) => {
    expect(parseAmount(text)).toBe(Math.round(usd * NANOS_PER_USD))
  })

  test.each([
    ...[
      '-1',
      '+1',
      'NaN',
      'Infinity',
      '1e309',
      '',
      '50abc',
      '0x10',
      '1_000',
      '1,000',
      '5e1',
      '٥٠',
      '５０',
      '50.',
      '.5',
    ],
    ...['1.0000000001', '9000001', '99999999', '$', '$$5', '5 0', '50\n0', 'null', '1/2', '0b1', '−1'],
  ])('money typed as "%s" is refused', (text) => {
    expect(parseAmount(text)).toBeUndefined()
    if (text !== '$') expect(() => usd(`${text}x`)).toThrow(RangeError)
  })

  test.each([
    ['5.29', '$5.29'],
    ['0', '$0.00'],
    ['0.0235', '$0.0235'],
    ['0.045', '$0.045'],
    ['0.4592', '$0.459'],
    ['0.9996', '$1.00'],
    ['1.005', '$1.01'],
    ['0.00235', '$0.00235'],
    ['0.000000138', '$0.000000138'],
    ['-6.6', '-$6.60'],
    ['45.899999999', '$45.90'],
    ['1234567.891', '$1234567.89'],
  ])('money of %s is shown as %s', (amount, shown) => {
    expect(showUsd(usd(amount))).toBe(shown)
  })
})

test('a price is shown with every digit, at least to the cent', () => {
  expect(['2.5', '10', '0.075', '1.125'].map((price) => showExactUsd(usd(price)))).toEqual([
    '$2.50',
    '$10.00',
    '$0.075',
    '$1.125',
  ])
})
