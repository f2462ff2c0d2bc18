/** Texts that databases, JSON and patterns may stumble over: U+0000, halves of surrogate pairs, and their escapes. */
import fc from '../support/fast-check.ts'

const UNITS = ['\0', '\ud800', '\udfff', '😀', 'a', '\\u0000', '\u001b', '\uffff', "'", '"', '\\', '%']
const SIMPLE = ['\0', 'a\0b', '\ud800', 'a\udfffb', "a'\\u0000%"]

/** Up to `count` of them, all different; some have nothing that PostgreSQL cannot store. */
export function oddTexts(count: number): string[] {
  const generated = fc.sample(fc.string({ unit: fc.constantFrom(...UNITS), minLength: 1, maxLength: 8 }), count)
  return [...new Set([...SIMPLE, ...generated])].slice(0, count)
}

/** The text as PostgreSQL can store it. */
export const withoutOdd = (text: string): string => text.toWellFormed().replaceAll('\0', '\ufffd')
