/** Numbers of JSON in a text: what replaces one must be a string, or the text no longer parses. */

/** How far back the name of a number's field is searched for. */
export const MAX_FIELD = 96
/** A field's name and its sign, perhaps with the beginning of a list. JSON within a string has its quotes escaped. */
const FIELD = /(\\*["'])\s*:\s*(?:\[(?:\s*-?[\d.]+\s*,)*\s*)?$/

/** Returns the quote to put around a replacement for `value` as the field's name has it; '' unless it is such a number. */
export function quoteFor(before: string, value: string): string {
  return /^\d+$/.test(value) ? (FIELD.exec(before)?.[1] ?? '') : ''
}
