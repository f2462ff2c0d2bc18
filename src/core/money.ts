/**
 * Money. Inside the process an amount is an integer number of nanodollars; in JSON, SQL text and on the wire it is a
 * decimal string in US dollars with up to nine fraction digits ("5.29"). No floating point ever holds dollars.
 * Free of Node: the browser uses this file too.
 */

declare const unit: unique symbol

/** The unit of a type of money. Exported because declarations of other modules name it. */
export interface Unit<Name extends string> {
  readonly [unit]: Name
}

/** An integer number of nanodollars: 1 USD = 1_000_000_000. Safe up to about 9 million dollars. */
export type Nanodollars = number & Unit<'nanodollars'>

/** A decimal string in US dollars, up to nine fraction digits: "45.9", "0.12", "-0.5". */
export type Usd = string & Unit<'usd'>

/** Whose budget it is: an agent's, a run's, or the server's. */
export type BudgetScope = 'part' | 'agent' | 'run' | 'server'

/** Also one that is shared with other runtimes. */
export type PayingScope = BudgetScope | 'shared'

/** Budgets whose limit starts with the configured one: a run's and the server's. */
export type ConfiguredScope = Extract<BudgetScope, 'run' | 'server'>

/** An event's budget, unless it is the agent's own. */
export type NamedScope = ConfiguredScope | 'shared'

export const NANOS_PER_USD = 1_000_000_000

/** Throws RangeError for anything but an integer. */
export function nanodollars(amount: number): Nanodollars {
  if (!Number.isInteger(amount)) throw new RangeError(`not a whole number of nanodollars: ${amount}`)
  return amount as Nanodollars
}

/** Throws RangeError for anything but an amount as this program writes it. */
export function usd(amount: string): Usd {
  fromUsd(amount as Usd)
  return amount as Usd
}

export const ZERO_NANOS = nanodollars(0)
export const ZERO_USD = usd('0')

/** More than any cost. */
export const UNLIMITED = Number.POSITIVE_INFINITY as Nanodollars

/** Sums up amounts. */
export const add = (...amounts: readonly Nanodollars[]): Nanodollars =>
  amounts.reduce<number>((sum, amount) => sum + amount, 0) as Nanodollars

/** Returns `amount` less `part`, which may be larger. */
export const subtract = (amount: Nanodollars, part: Nanodollars): Nanodollars => (amount - part) as Nanodollars

export const min = (...amounts: readonly Nanodollars[]): Nanodollars => Math.min(...amounts) as Nanodollars

export const max = (...amounts: readonly Nanodollars[]): Nanodollars => Math.max(...amounts) as Nanodollars

/** Returns one of so many equal parts, rounded down. */
export const divide = (amount: Nanodollars, parts: number): Nanodollars => Math.floor(amount / parts) as Nanodollars

const BIG_NANOS_PER_USD = BigInt(NANOS_PER_USD)

/** The maximum that a person may type. */
export const MAX_NANOS = nanodollars(9_000_000 * NANOS_PER_USD)

/**
 * Formats nanodollars as the shortest exact decimal string: 5_290_000_000 → "5.29". Also beyond safe integers: clients
 * request calls that would cost millions.
 */
export function toUsd(nanos: Nanodollars | bigint): Usd {
  if (typeof nanos === 'number' && Number.isSafeInteger(nanos)) {
    const absolute = Math.abs(nanos)
    return written(nanos < 0, Math.floor(absolute / NANOS_PER_USD), absolute % NANOS_PER_USD)
  }
  const exact = BigInt(nanos)
  const absolute = exact < 0n ? -exact : exact
  return written(exact < 0n, absolute / BIG_NANOS_PER_USD, absolute % BIG_NANOS_PER_USD)
}

function written(isNegative: boolean, whole: number | bigint, fraction: number | bigint): Usd {
  const sign = isNegative ? '-' : ''
  if (Number(fraction) === 0) return `${sign}${whole}` as Usd
  const digits = String(fraction).padStart(9, '0')
  let end = digits.length
  while (digits.charCodeAt(end - 1) === ZERO) end--
  return `${sign}${whole}.${digits.slice(0, end)}` as Usd
}

/** Of a text. */
const ZERO = '0'.charCodeAt(0)

/**
 * Parses a decimal string that this program wrote; above 9 million dollars to the nearest number. Throws RangeError for
 * anything else.
 */
export function fromUsd(usd: Usd): Nanodollars {
  const match = /^(-?)(\d{1,7})(?:\.(\d{1,9}))?$/.exec(usd)
  if (!match) return nanodollars(Number(bigFromUsd(usd)))
  const nanos = Number(match[2]) * NANOS_PER_USD + Number((match[3] ?? '').padEnd(9, '0'))
  return nanodollars(match[1] ? -nanos : nanos)
}

function bigFromUsd(usd: Usd): bigint {
  const match = /^(-?)(\d{1,30})(?:\.(\d{1,9}))?$/.exec(usd)
  if (!match) throw new RangeError(`not an amount of US dollars: "${usd}"`)
  const nanos = BigInt(match[2]!) * BIG_NANOS_PER_USD + BigInt((match[3] ?? '').padEnd(9, '0'))
  return match[1] ? -nanos : nanos
}

/**
 * Parses an amount that a person typed: "50", "50.00", "$50". Returns undefined for everything else:
 * signs, exponents, hex, separators, other digits, more than nine fraction digits, more than 9 million dollars.
 */
export function parseAmount(text: string): Nanodollars | undefined {
  const match = /^\$?(\d{1,7}(?:\.\d{1,9})?)$/.exec(text.trim())
  if (!match) return undefined
  const nanos = fromUsd(match[1] as Usd)
  return nanos <= MAX_NANOS ? nanos : undefined
}

/** Adds exactly, even beyond safe integers. */
export function addUsd(a: Usd, b: Usd): Usd {
  const left = fromUsd(a)
  const right = fromUsd(b)
  const sum = (left + right) as Nanodollars
  const isExact = Number.isSafeInteger(left) && Number.isSafeInteger(right) && Number.isSafeInteger(sum)
  return toUsd(isExact ? sum : bigFromUsd(a) + bigFromUsd(b))
}

/** For people: two decimals from a dollar up and for whole cents, else three digits: "$5.29", "$0.23", "$0.0235", "$0.000137". */
export function showUsd(usd: Usd): string {
  const nanos = fromUsd(usd)
  const sign = nanos < 0 ? '-' : ''
  const absolute = Math.abs(nanos)
  const dollars =
    absolute < NANOS_PER_USD
      ? Number((absolute / NANOS_PER_USD).toPrecision(3))
      : Math.round(absolute / (NANOS_PER_USD / 100)) / 100
  return `${sign}$${dollars.toFixed(9).replace(/0{1,7}$/, '')}`
}

/**
 * For people: a whole and its parts, all as precise as the smallest of them needs, and rounded so that parts that add up
 * to the whole do so as shown: ["$20.000", "$0.000", "$0.015", "$19.985"].
 */
export function showUsdParts(whole: Usd, ...parts: readonly Usd[]): string[] {
  const digits = Math.max(...[whole, ...parts].map((amount) => decimalsOf(showUsd(amount))))
  const unitsOf = (nanos: number) => Math.round(nanos / (NANOS_PER_USD / 10 ** digits))
  const show = (units: number) => `$${(units / 10 ** digits).toFixed(digits)}`
  let sum = 0
  const shown = parts.map((part) => {
    const before = unitsOf(sum)
    sum += fromUsd(part)
    return show(unitsOf(sum) - before)
  })
  return [show(unitsOf(fromUsd(whole))), ...shown]
}

const decimalsOf = (shown: string): number => shown.length - shown.indexOf('.') - 1

/** Every digit, at least to the cent: "$2.50", "$0.075", "-$0.004". */
export function showExactUsd(usd: Usd): string {
  const [, sign, dollars, fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(usd)!
  return `${sign}$${dollars}.${fraction.padEnd(2, '0')}`
}

/** The increase proposed when a budget runs out: half of the limit, in whole dollars from a dollar up: $25 for $50. */
export const suggestedIncrease = (limit: Nanodollars): Nanodollars =>
  nanodollars(
    limit >= 2 * NANOS_PER_USD
      ? Math.round(limit / 2 / NANOS_PER_USD) * NANOS_PER_USD
      : Math.max(1, Math.round(limit / 2)),
  )
