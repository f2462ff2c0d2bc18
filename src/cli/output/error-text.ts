/** How errors look on a terminal. The one place where a CageError becomes text. Most commands end without its redactor. */
import type { CageError } from '../../core/errors.ts'
import { printable } from '../../log/printable.ts'
import { DEFAULT_POLICY } from '../../redaction/policy.ts'
import { Redactor } from '../../redaction/redactor.ts'

/**
 *     iron-cage: <what is wrong>
 *       <further lines and facts; for an internal error its cause and the path of the log>
 *       hint: <what to type next>
 */
export function errorText(error: CageError, log?: { readonly path: string }): string {
  const [what, ...more] = error.message.split('\n')
  const facts = Object.entries(error.facts)
    .filter(([, value]) => value !== undefined && value !== null && !error.message.includes(String(value)))
    .map(([name, value]) => `${name}: ${value}`)
  // Only an unexpected error has no better explanation than its cause.
  const cause = error.code === 'internal' && error.cause instanceof Error ? [`why: ${error.cause.message}`] : []
  if (error.code === 'internal' && log) cause.push(`log: ${log.path}`)
  return [`iron-cage: ${what}`, ...[...more, ...facts, ...cause, `hint: ${error.hint}`].map((line) => `  ${line}`)]
    .map((line) => repeatable(printable(line)))
    .join('\n')
}

/** Typed text, or text of a file, as a message may repeat it: without personal data, since terminals are recorded. */
export const repeatable = (text: string): string => redactor.clean(text)

const redactor = new Redactor(DEFAULT_POLICY)
