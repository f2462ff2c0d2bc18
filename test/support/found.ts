import { findPii } from '../../src/redaction/redactor.ts'

/** The findings in a text, as `type:value`. */
export const found = (text: string): string[] =>
  findPii(text).map(({ type, start, end }) => `${type}:${text.slice(start, end)}`)
