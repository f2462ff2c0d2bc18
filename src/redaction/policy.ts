/** What is looked for in a text and what is done about it. */
import type { Config } from '../config/schema.ts'
import type { PiiType, SafetyMode } from '../events.ts'
import { DEFAULT_PII_TYPES, PII_TYPES } from '../pii-types.ts'
import { holdsOwnToken } from '../tokens.ts'
import { emailAddress, emailDomain } from './email-domain.ts'

export type Scope = Config['safety']['scope'][number]

export interface Policy {
  /** What happens to findings of types that `modes` does not name. (Default: redact.) */
  mode: SafetyMode
  /** What happens to findings of a type: its own choice before `mode`. (Default: none.) */
  modes: Partial<Record<PiiType, SafetyMode>>
  /** The types looked for. (Default: those of `pii-types.ts` that are by default.) */
  detect: PiiType[]
  /** E-mail addresses of these domains and their subdomains are left alone. (Default: none.) */
  allowDomains: string[]
  /** Addresses and numbers that are left alone, whatever stands between their digits; secrets never. (Default: none.) */
  allowValues: string[]
  /** Where it is looked for. (Default: all but requests.) */
  scope: Scope[]
}

export const DEFAULT_POLICY: Policy = {
  mode: 'redact',
  modes: {},
  detect: DEFAULT_PII_TYPES,
  allowDomains: [],
  allowValues: [],
  scope: ['replies', 'tool_arguments', 'logs'],
}

/** The policy that the configuration wants. */
export const policyOf = ({ allow_domains, allow_values, ...safety }: Config['safety']): Policy => ({
  ...safety,
  allowDomains: allow_domains,
  allowValues: allow_values,
})

/** Whatever a reply may keep, nothing of it is written or shown: `warn` and `block` are about replies. */
export const forLogs = (policy: Policy): Policy => ({ ...policy, mode: 'redact', modes: {} })

/** Where logs are not in the policy's scope: known values and tokens of ours are taken out all the same. */
export const SECRETS_ONLY: Policy = { ...DEFAULT_POLICY, detect: [] }

/** What a text shows in place of a value. */
export const replacementOf = (type: PiiType): string => REPLACEMENTS[type]

const REPLACEMENTS = Object.fromEntries(PII_TYPES.map((type) => [type, `[${type.toUpperCase()}_REDACTED]`])) as Record<
  PiiType,
  string
>

/** What happens to a finding. A token of ours is never left in place. */
export function actionFor(policy: Policy, type: PiiType, value: string): SafetyMode {
  const action = policy.modes[type] ?? policy.mode
  return action === 'warn' && type === 'secret' && holdsOwnToken(value) ? 'redact' : action
}

/** Whether a value is left alone. A secret never is: one in a configuration would be another one in clear. */
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

/** Letters and digits: "+1 (415) 733-2671" and "14157332671" are the same. */
const normalizeForCompare = (value: string): string =>
  value
    .normalize('NFKC')
    .replace(/[^\p{L}\p{N}]/gu, '')
    .toUpperCase()
