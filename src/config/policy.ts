/**
 * The policy of an organization: settings that a Control Panel merges into the configuration of every runtime that joined.
 *
 * The rules are:
 * - RULES lists all that a policy may set. Nothing there names a file, a program, an address or a variable: an admin of
 *   the panel can run and read nothing on a machine, and cannot have its keys sent elsewhere. Dollars are missing too:
 *   the limits of an organization are in its shared budgets, which no machine can raise. So is what each start of an
 *   agent may choose anew.
 * - A setting with an order is only tightened: the stricter value of machine and policy counts. Of the others, the policy's
 *   value counts, over file, variables and flags. (The road not taken: the panel's value always. Then a machine could not
 *   be stricter than the organization, and one careless policy would loosen them all.)
 * - A policy adds no provider and no service: settings for one that a machine does not have are without effect there.
 */
import * as z from 'zod'
import type { PolicyState } from '../protocol/control-messages.ts'
import { type LoadedConfig, leaves } from './config.ts'
import { ENVIRONMENTS } from './environments.ts'
import { InvalidConfigError, keyText, problemsOf, unwrapped, valueAt } from './problems.ts'
import { type Config, configSchema } from './schema.ts'

/** Settings by section, as in a configuration file; checked by `policySchema`. */
export type Policy = Readonly<Record<string, unknown>> & { safety?: Partial<Config['safety']> }

/** The origin of a policy's values. */
export const CONTROL_PANEL = 'Control Panel'
/** Of a policy as JSON. */
const MAX_POLICY_LENGTH = 65_536

/** How the machine's value and the policy's become one. */
interface Rule {
  readonly how: string
  readonly merge: (own: never, policy: never) => unknown
}
interface Rules {
  readonly [name: string]: Rule | Rules
}

const MODES = ['warn', 'redact', 'block'] as const

const replaced: Rule = { how: "the policy's", merge: (_own, policy) => policy }
const lower: Rule = {
  how: 'the lower one',
  merge: (own: number | undefined, policy: number) => (own === undefined ? policy : Math.min(own, policy)),
}
const onlyFalse: Rule = {
  how: '`false` where one of them says so',
  merge: (own: boolean, policy: boolean) => own && policy,
}
const joined: Rule = {
  how: 'those of both together',
  merge: (own: readonly string[], policy: readonly string[]) => [...new Set([...own, ...policy])],
}
const inBoth: Rule = {
  how: 'what both allow',
  merge: (own: readonly string[], policy: readonly string[]) => own.filter((each) => policy.includes(each)),
}
/** Of types of personal data, in `tightened`. */
const byType: Rule = { how: 'the stricter one, for each type', merge: (_own, policy) => policy }

const BREAKER: Rules = { failures: replaced, failure_rate: replaced, cooldown_s: replaced }

const RULES: Rules = {
  safety: {
    ...{ mode: byType, detect: byType, modes: byType },
    allow_domains: inBoth,
    allow_values: inBoth,
    scope: joined,
    given: stricter(['pass', 'redact']),
    placeholders: replaced,
  },
  budget: {
    loops: { repeats: lower, action: stricter(['report', 'refuse']) },
    tools: { max_calls: lower },
  },
  calls: { keep_content: onlyFalse, retention_days: lower },
  providers: {
    '*': {
      ...{ connect_timeout_s: replaced, first_byte_timeout_s: replaced, idle_timeout_s: replaced },
      ...{ total_timeout_s: replaced, retries: replaced, rate_limit_wait_s: replaced },
      breaker: BREAKER,
      fallback: replaced,
    },
  },
  services: { '*': { timeout_s: replaced, retries: replaced, breaker: BREAKER } },
}

function stricter<Value extends string>(order: readonly Value[]): Rule {
  return {
    how: `the stricter one: ${order.join(', ')}`,
    merge: (own: Value, policy: Value) => stricterOf(order, own, policy),
  }
}

/** `order`: from lax to strict. */
function stricterOf<Value extends string>(order: readonly Value[], own: Value, policy: Value): Value {
  return order.indexOf(own) > order.indexOf(policy) ? own : policy
}

const isRule = (rules: Rule | Rules): rules is Rule => typeof rules.merge === 'function'

/** All that a policy may set, and which value counts. */
export const POLICY_SETTINGS: readonly { key: string; how: string }[] = settingsBelow(RULES, [])

function settingsBelow(rules: Rule | Rules, key: readonly string[]): { key: string; how: string }[] {
  if (isRule(rules)) return [{ key: key.join('.'), how: rules.how }]
  return Object.entries(rules).flatMap(([below, rule]) =>
    settingsBelow(rule, [...key, below === '*' ? '<name>' : below]),
  )
}

const name = z.string().regex(/^[A-Za-z0-9][\w.-]{0,99}$/, { error: 'the name of a provider or service' })

/** Each key is checked as in a configuration file; unknown ones are errors. */
export const policySchema = (schemaOf(RULES, configSchema) as unknown as z.ZodType<Policy>).refine(
  (policy) => JSON.stringify(policy).length <= MAX_POLICY_LENGTH,
  { error: `a policy of at most ${MAX_POLICY_LENGTH} characters` },
)

function schemaOf(rules: Rule | Rules, within: z.core.$ZodType): z.ZodType {
  const bare = unwrapped(within)
  if (isRule(rules)) return bare as z.ZodType
  if (rules['*']) return z.record(name, schemaOf(rules['*'], anyEntryOf(bare)))
  const { shape } = bare as z.ZodObject
  return z.strictObject(
    Object.fromEntries(
      Object.entries(rules).map(([key, below]) => [key, schemaOf(below, shape[key] as z.core.$ZodType).optional()]),
    ),
  )
}

function anyEntryOf(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodRecord) return schema.valueType as z.core.$ZodType
  return (schema as z.ZodObject).def.catchall as z.core.$ZodType
}

/** Whether it sets nothing, in any section. */
export const isEmptyPolicy = (policy: Policy): boolean =>
  [...leaves(policy)].every(({ value }) => JSON.stringify(value) === '{}')

/** `where`: the file's name, for messages. Throws InvalidConfigError with every problem. */
export function parsePolicy(value: unknown, where = CONTROL_PANEL): Policy {
  const result = policySchema.safeParse(value)
  if (result.success) return result.data
  throw new InvalidConfigError(
    problemsOf(result.error.issues, value, () => where),
    { what: 'the policy', hint: 'correct the policy; docs/production.md lists what it may set' },
  )
}

/**
 * Merges the Control Panel's policies: the policy of all machines first, then those of environments, where the last one
 * counts. Throws InvalidConfigError for one that cannot be used.
 */
export function mergePolicies(loaded: LoadedConfig, { settings, environments }: Policies): LoadedConfig {
  const known: readonly string[] = ENVIRONMENTS
  const own = Object.entries(environments).sort(([one], [other]) => known.indexOf(one) - known.indexOf(other))
  const all = [...(settings ? [[CONTROL_PANEL, settings] as const] : []), ...own.map(ofEnvironment)]
  return all.reduce((merged, [origin, policy]) => mergePolicy(merged, parsePolicy(policy, origin), origin), loaded)
}

export type Policies = Pick<PolicyState, 'settings' | 'environments'>

const ofEnvironment = <Settings>([name, settings]: [string, Settings]) =>
  [`${CONTROL_PANEL} (${name})`, settings] as const

/** Throws InvalidConfigError when both do not fit together. */
export function mergePolicy(loaded: LoadedConfig, policy: Policy, origin = CONTROL_PANEL): LoadedConfig {
  const own = loaded.config
  const merged = merge(RULES, own, withoutUnknownFallbacks(policy, own)) as Config
  if (policy.safety) merged.safety = { ...merged.safety, ...tightened(own.safety, policy.safety) }
  const result = configSchema.safeParse(merged)
  if (!result.success) throw new InvalidConfigError(problemsOf(result.error.issues, merged, () => origin))
  const { data: config } = result
  const before = new Map([...leaves(own)].map(({ key, value }) => [keyText(key), JSON.stringify(value)]))
  const origins: Record<string, string> = {}
  for (const { key, value } of leaves(config)) {
    const [text, now] = [keyText(key), JSON.stringify(value)]
    const isDecided = now !== before.get(text) || now === JSON.stringify(valueAt(policy, key))
    origins[text] = isDecided ? origin : (loaded.origins[text] ?? 'default')
  }
  return { ...loaded, config, origins }
}

type Values = Readonly<Record<string, unknown>>

function merge(rules: Rule | Rules, own: unknown, policy: unknown): unknown {
  if (isRule(rules)) return rules.merge(own as never, policy as never)
  const merged: Record<string, unknown> = { ...(own as Values) }
  for (const [key, value] of Object.entries(policy as Values)) {
    const isForeign = rules['*'] !== undefined && !Object.hasOwn(merged, key)
    if (value !== undefined && !isForeign) merged[key] = merge((rules['*'] ?? rules[key])!, merged[key], value)
  }
  return merged
}

/** A type has the stricter of both modes, also where one of them speaks of all types and the other of this one. */
function tightened(own: Config['safety'], policy: Partial<Config['safety']>): Partial<Config['safety']> {
  const mode = stricterOf(MODES, own.mode, policy.mode ?? own.mode)
  const named = Object.keys(policy.modes ?? {}) as Config['safety']['detect']
  const detect = [...new Set([...own.detect, ...(policy.detect ?? []), ...named])]
  const modes: Config['safety']['modes'] = {}
  for (const type of detect) {
    const local = own.modes[type] ?? own.mode
    const decided = stricterOf(MODES, local, policy.modes?.[type] ?? policy.mode ?? local)
    if (decided !== mode || own.modes[type] !== undefined) modes[type] = decided
  }
  return { mode, detect, modes }
}

function withoutUnknownFallbacks(policy: Policy, { providers }: Config): Policy {
  if (!policy.providers) return policy
  const entries = Object.entries(policy.providers as Record<string, { fallback?: { provider: string }[] }>)
  const kept = entries.map(([key, { fallback, ...settings }]) => {
    const known = fallback?.filter(({ provider }) => Object.hasOwn(providers, provider))
    return [key, known ? { ...settings, fallback: known } : settings]
  })
  return { ...policy, providers: Object.fromEntries(kept) as Values }
}
