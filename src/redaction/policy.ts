/** What is looked for in a text and what is done about it. */
import type { PiiType, SafetyMode } from '../events.ts'

export interface Policy {
  /** What happens to findings of types that `modes` does not name. (Default: redact.) */
  mode: SafetyMode
  /** What happens to findings of a type: its own choice before `mode`. (Default: none.) */
  modes: Partial<Record<PiiType, SafetyMode>>
  /** The types looked for. (Default: all but ip: addresses of documentation and code are everywhere in agents' text.) */
  detect: PiiType[]
  /** E-mail addresses of these domains and their subdomains are left alone. (Default: none.) */
  allowDomains: string[]
}

export const DEFAULT_POLICY: Policy = {
  mode: 'redact',
  modes: {},
  detect: ['email', 'phone', 'ssn', 'credit_card', 'iban', 'secret'],
  allowDomains: [],
}

export type Risk = 'HIGH' | 'MEDIUM'

export const RISKS: Readonly<Record<PiiType, Risk>> = {
  email: 'HIGH',
  ssn: 'HIGH',
  credit_card: 'HIGH',
  iban: 'HIGH',
  secret: 'HIGH',
  phone: 'MEDIUM',
  ip: 'MEDIUM',
}

/** What a text shows in place of a value. */
export const REPLACEMENTS: Readonly<Record<PiiType, string>> = {
  email: '[EMAIL_REDACTED]',
  phone: '[PHONE_REDACTED]',
  ssn: '[SSN_REDACTED]',
  credit_card: '[CREDIT_CARD_REDACTED]',
  iban: '[IBAN_REDACTED]',
  ip: '[IP_REDACTED]',
  secret: '[SECRET_REDACTED]',
}

/** What happens to a finding of a type. */
export function actionFor(policy: Policy, type: PiiType): SafetyMode {
  return policy.modes[type] ?? policy.mode
}

/** Whether addresses of a domain (in lower case) are left alone. */
export function isAllowedDomain(policy: Policy, domain: string): boolean {
  return policy.allowDomains.some((allowed) => {
    const name = allowed.toLowerCase()
    return domain === name || domain.endsWith(`.${name}`)
  })
}
