/** The policy: what is detected in a text, and what happens to it. */
import type { Config } from '../config/schema.ts'
import type { PiiType, SafetyMode } from '../events.ts'
import { DEFAULT_PII_TYPES, PII_TYPES } from '../pii-types.ts'
import { holdsOwnToken } from '../tokens.ts'
import { emailAddress, emailDomain } from './email-domain.ts'

export type RedactionScope = Config['safety']['scope'][number]

export interface Policy {
  /** Action for findings of types not in `modes`. (Default: redact.) */
  mode: SafetyMode
  /** Action by type, instead of `mode`. (Default: none.) */
  modes: Partial<Record<PiiType, SafetyMode>>
  /** The types to detect. (Default: the default types of `pii-types.ts`.) */
  detect: PiiType[]
  /** E-mail addresses at these domains and their subdomains are ignored. (Default: none.) */
  allowDomains: string[]
  /** Addresses and numbers to ignore, however their digits are separated; never secrets. (Default: none.) */
  allowValues: string[]
  /** Where data is detected. (Default: everywhere except requests.) */
  scope: RedactionScope[]
}

export const DEFAULT_POLICY: Policy = {
  mode: 'redact',
  modes: {},
  detect: DEFAULT_PII_TYPES,
  allowDomains: [],
  allowValues: [],
  scope: ['replies', 'tool_arguments', 'logs'],
}

/** Returns the configured policy. */
export const policyOf = ({ allow_domains, allow_values, ...safety }: Config['safety']): Policy => ({
  ...safety,
  allowDomains: allow_domains,
  allowValues: allow_values,
})

/** For logs everything is redacted: `warn` and `block` apply only to replies. */
export const forLogs = (policy: Policy): Policy => ({ ...policy, mode: 'redact', modes: {} })

/** For logs outside the policy's scope: known values and our own tokens are still redacted. */
export const SECRETS_ONLY: Policy = { ...DEFAULT_POLICY, detect: [] }

/** Returns the text that replaces a value. */
export const replacementOf = (type: PiiType): string => REPLACEMENTS[type]

const REPLACEMENTS = Object.fromEntries(PII_TYPES.map((type) => [type, `[${type.toUpperCase()}_REDACTED]`])) as Record<
  PiiType,
  string
>

/** Returns the action for a finding. Our own tokens are never left in place. */
export function actionFor(policy: Policy, type: PiiType, value: string): SafetyMode {
  const action = policy.modes[type] ?? policy.mode
  return action === 'warn' && type === 'secret' && holdsOwnToken(value) ? 'redact' : action
}

/** Whether a value is ignored. Secrets never are: an allowed one would be in the configuration in clear text. */
export function isAllowed({ allowDomains, allowValues }: Policy, type: PiiType, value: string): boolean {
  if (type === 'secret' || (allowDomains.length === 0 && allowValues.length === 0)) return false
  if (type !== 'email')
    return allowValues.some((allowed) => normalizeForCompare(allowed) === normalizeForCompare(value))
  const domain = emailDomain(value)
  return (
    allowValues.some((allowed) => allowed.toLowerCase() === emailAddress(value)) ||
    allowDomains.some((allowed) => domain === allowed.toLowerCase() || domain.endsWith(`.${allowed.toLowerCase()}`))
  )
}

/** Letters and digits only: "+1 (415) 733-2671" equals "14157332671". */
const normalizeForCompare = (value: string): string =>
  value
    .normalize('NFKC')
    .replace(/[^\p{L}\p{N}]/gu, '')
    .toUpperCase()
