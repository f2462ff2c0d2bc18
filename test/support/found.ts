import { findPii } from '../../src/redaction/redactor.ts'

/** What is found in a text, as `type:value`. */
export const found = (text: string): string[] =>
  findPii(text).map(({ type, start, end }) => `${type}:${text.slice(start, end)}`)
