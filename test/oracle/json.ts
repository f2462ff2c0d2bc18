/** JSON as servers really write it: with spaces or without, escaped or not, with integers that JavaScript cannot hold. */
import type { Dice } from './dice.ts'

/** A value that is written as it is: `new Raw('725653563933458433')`. */
export class Raw {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type Value = string | number | boolean | null | undefined | Raw | readonly Value[] | { [name: string]: Value }

export interface Style {
  /** After colons and commas. */
  gap: '' | ' '
  /** Letters outside ASCII are written as \uXXXX, and slashes with a backslash. */
  escapes: boolean
}

export const styleOf = (dice: Dice): Style => ({ gap: dice.pick(['', ' ']), escapes: dice.chance(0.3) })

export const PLAIN: Style = { gap: '', escapes: false }

/** A snowflake, a number of 64 bits. */
export const long = (dice: Dice): Raw =>
  new Raw(`${dice.pick(['', '-'])}7${dice.times(17, () => dice.number(0, 9)).join('')}`)

export function write(value: Value, style: Style): string {
  if (value instanceof Raw) return value.text
  if (typeof value === 'string') return quote(value, style)
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((item) => write(item, style)).join(`,${style.gap}`)}]`
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return `{${fields.map(([name, field]) => `${quote(name, style)}:${style.gap}${write(field, style)}`).join(`,${style.gap}`)}}`
}

function quote(text: string, { escapes }: Style): string {
  const plain = JSON.stringify(text)
  if (!escapes) return plain
  return plain
    .replaceAll('/', '\\/')
    .replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
