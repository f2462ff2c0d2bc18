/** A check: a question about this machine or this database, and what to do when the answer is bad. */
import type { LoadedConfig } from '../../../config/config.ts'
import type { Terminal } from '../../output/terminal.ts'

export interface Subject {
  loaded: LoadedConfig
  terminal: Terminal
  /** Ask providers as well. */
  online: boolean
}

export interface Check {
  name: string
  /** Its error is a failure as well. */
  look(subject: Subject): CheckResult | Promise<CheckResult>
}

/** `warn`: it works, but with a warning. */
export interface CheckResult {
  status: 'ok' | 'warn' | 'fail'
  what: string
  /** What to type or change. */
  fix?: string
}

export const ok = (what: string): CheckResult => ({ status: 'ok', what })
export const warn = (what: string, fix: string): CheckResult => ({ status: 'warn', what, fix })
export const fail = (what: string, fix: string): CheckResult => ({ status: 'fail', what, fix })

/** "24.21.0" is at least "22.19". */
export function isAtLeast(version: string, least: string): boolean {
  const [have, want] = [version, least].map((text) => text.split('.').map(Number))
  for (const [index, part] of want!.entries()) {
    if ((have![index] ?? 0) !== part) return (have![index] ?? 0) > part
  }
  return true
}
