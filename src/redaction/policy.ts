/** The policy: the types detected in a text, and their treatment. */
import type { Config } from '../config/schema.ts'
import type { PiiType, SafetyMode } from '../core/events.ts'
import { DEFAULT_PII_TYPES } from '../core/pii-types.ts'
import { holdsOwnToken } from '../core/tokens.ts'
import { emailAddress, emailDomain } from './emails/email-domain.ts'
import { isPlaceholder } from './placeholder.ts'
import { normalizeForCompare } from './text/compare.ts'

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
  /** What happens in the arguments of tools to values that the same request has; never to secrets. (Default: pass.) */
  given: Config['safety']['given']
  /** The key of placeholders of the value's shape. (Default: placeholders are labels.) */
  shapedWith?: string | undefined
}

export const DEFAULT_POLICY: Policy = {
  mode: 'redact',
  modes: {},
  detect: DEFAULT_PII_TYPES,
  allowDomains: [],
  allowValues: [],
  scope: ['replies', 'tool_arguments', 'logs'],
  given: 'pass',
}

/** Returns the configured policy. `key`: of shaped placeholders. */
export const policyOf = (
  { allow_domains, allow_values, placeholders, ...safety }: Config['safety'],
  key: string,
): Policy => ({
  ...safety,
  shapedWith: placeholders === 'shaped' ? key : undefined,
  allowDomains: allow_domains,
  allowValues: allow_values,
})

/** For logs everything is redacted to labels: `warn`, `block` and shapes apply only to replies. */
export const forLogs = (policy: Policy): Policy => ({ ...policy, mode: 'redact', modes: {}, shapedWith: undefined })

/** For logs outside the policy's scope: known values and our own tokens are still redacted. */
export const SECRETS_ONLY: Policy = { ...DEFAULT_POLICY, detect: [] }

/** Returns the action for a finding. Our own tokens are never left in place. */
export function actionFor(policy: Policy, type: PiiType, value: string): SafetyMode {
  const action = policy.modes[type] ?? policy.mode
  return action === 'warn' && type === 'secret' && holdsOwnToken(value) ? 'redact' : action
}

/** Whether a value is ignored. Secrets never are: an allowed one would be in the configuration in clear text. */
export function isAllowed({ allowDomains, allowValues, shapedWith }: Policy, type: PiiType, value: string): boolean {
  if (shapedWith !== undefined && isPlaceholder(type, value)) return true
  if (type === 'secret' || (allowDomains.length === 0 && allowValues.length === 0)) return false
  if (type !== 'email')
    return allowValues.some((allowed) => normalizeForCompare(allowed) === normalizeForCompare(value))
  const domain = emailDomain(value)
  return (
    allowValues.some((allowed) => allowed.toLowerCase() === emailAddress(value)) ||
    allowDomains.some((allowed) => domain === allowed.toLowerCase() || domain.endsWith(`.${allowed.toLowerCase()}`))
  )
}
