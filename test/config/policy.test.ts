/** The settings of an organization's policy, and their merge with the configuration of a machine. */
import { describe, expect, test } from 'vitest'
import { type LoadedConfig, leaves, shownLeaves } from '../../src/config/config.ts'
import { CONTROL_PANEL, mergePolicy, parsePolicy, policySchema } from '../../src/config/policy.ts'
import { keyText } from '../../src/config/problems.ts'
import { configSchema } from '../../src/config/schema.ts'
import fc from '../support/fast-check.ts'

const load = (own: object): LoadedConfig => ({ config: configSchema.parse(own), origins: {}, file: null })

function merged(own: object, policy: object): (key: string) => unknown {
  const values = new Map(shownLeaves(mergePolicy(load(own), parsePolicy(policy))).map((leaf) => [leaf.key, leaf]))
  return (key) => values.get(key) && [values.get(key)!.value, values.get(key)!.origin]
}

const MODES = ['warn', 'redact', 'block'] as const
const TYPES = ['email', 'phone', 'ip', 'iban'] as const
const mode = fc.constantFrom(...MODES)
const safetyOf = fc.record(
  {
    mode,
    detect: fc.uniqueArray(fc.constantFrom(...TYPES)),
    modes: fc.dictionary(fc.constantFrom(...TYPES), mode, { noNullPrototype: true }),
  },
  { requiredKeys: [] },
)
type Safety = Partial<Pick<ReturnType<typeof configSchema.parse>['safety'], 'mode' | 'detect' | 'modes'>>
/** How strictly a type is treated: -1 where it is not detected. */
const strictness = ({ mode: all = 'redact', detect, modes = {} }: Safety, type: (typeof TYPES)[number]): number =>
  detect?.includes(type) ? MODES.indexOf(modes[type] ?? all) : -1

describe('a policy', () => {
  test.each([
    ['a program', { agent: { python: '/tmp/evil' } }],
    ['a file', { price_list: { file: '/etc/passwd' } }],
    ['a file of certificates', { network: { ca_file: '/tmp/ca.pem' } }],
    ['the address that keys are sent to', { providers: { openai: { base_url: 'https://evil.example' } } }],
    ['the variable that is sent as a key', { providers: { openai: { api_key_secret: 'HOME' } } }],
    ['the address of a service', { services: { crm: { base_url: 'https://evil.example' } } }],
    ['where alerts go', { alerts: { webhooks: [{ url: 'https://evil.example' }] } }],
    ['where traces go', { otel: { endpoint: 'https://evil.example' } }],
    ['the database', { db: { path: '/tmp/x' } }],
    ['who may reach the server', { server: { host: '0.0.0.0', allow_remote: true } }],
    ['dollars', { budget: { limit_usd: 1_000_000 } }],
    ['prices', { prices: { 'openai/*': { input_per_mtok: 0, output_per_mtok: 0 } } }],
    ['a key that nothing knows', { safety: { modus: 'warn' } }],
    ['more than it may hold', { safety: { allow_values: Array(300).fill('x'.repeat(300)) } }],
  ])('a policy cannot set %s', (_what, policy) => {
    expect(policySchema.safeParse(policy).success).toBe(false)
    expect(() => parsePolicy(policy)).toThrow(/policy is wrong|problems/)
  })

  test('a policy refuses a key of the configuration file that a policy cannot set', () => {
    expect(() => parsePolicy({ budget: { limit_usd: 5 } })).toThrow('budget.limit_usd: it cannot be set here')
  })

  test('a policy can only tighten an ordered setting, and merged settings show their origin', () => {
    const own = {
      safety: { mode: 'block', allow_domains: ['a.com', 'b.com'], scope: ['replies'] },
      budget: { loops: { repeats: 5 }, tools: { max_calls: 100 } },
      calls: { keep_content: true },
    }
    const at = merged(own, {
      safety: { mode: 'warn', allow_domains: ['b.com', 'c.com'], scope: ['requests'] },
      budget: { loops: { repeats: 8, action: 'refuse' }, tools: { max_calls: 7 } },
      calls: { keep_content: false },
    })
    expect(at('safety.mode')).toEqual(['block', 'default'])
    expect(at('safety.allow_domains')).toEqual([['b.com'], CONTROL_PANEL])
    expect(at('safety.scope')).toEqual([['replies', 'requests'], CONTROL_PANEL])
    expect(at('budget.loops.repeats')).toEqual([5, 'default'])
    expect(at('budget.loops.action')).toEqual(['refuse', CONTROL_PANEL])
    expect(at('budget.tools.max_calls')).toEqual([7, CONTROL_PANEL])
    expect(at('calls.keep_content')).toEqual([false, CONTROL_PANEL])
    expect(at('budget.limit_usd')).toEqual(['100', 'default'])
  })

  test('a policy overrides unordered settings, and only for providers and services that the machine has', () => {
    const at = merged(
      {
        providers: { openai: { retries: 1, breaker: { failures: 2 } }, groq: {} },
        services: { crm: { base_url: 'https://crm.example' } },
      },
      {
        providers: {
          openai: {
            retries: 9,
            fallback: [
              { provider: 'groq', model: 'a' },
              { provider: 'absent', model: 'b' },
            ],
          },
          absent: { retries: 3 },
        },
        services: { crm: { timeout_s: 3, breaker: { cooldown_s: 7 } }, absent: { retries: 1 } },
      },
    )
    expect(at('providers.openai.retries')).toEqual([9, CONTROL_PANEL])
    expect(at('providers.openai.breaker.failures')).toEqual([2, 'default'])
    expect(at('providers.openai.fallback[0].provider')).toEqual(['groq', CONTROL_PANEL])
    expect(at('providers.openai.fallback[1].provider')).toBeUndefined()
    expect(at('services.crm.timeout_s')).toEqual([3, CONTROL_PANEL])
    expect(at('services.crm.breaker.cooldown_s')).toEqual([7, CONTROL_PANEL])
    for (const key of ['providers.absent.retries', 'services.absent.retries']) expect(at(key)).toBeUndefined()
  })

  test('a policy that does not fit to a machine is refused whole', () => {
    const policy = parsePolicy({ providers: { openai: { fallback: [{ provider: 'anthropic', model: 'x' }] } } })
    expect(() => mergePolicy(load({}), policy)).toThrow(/Control Panel: providers\.openai\.fallback/)
  })

  test('a policy never loosens the detection of any type, and merging twice changes nothing', () => {
    fc.assert(
      fc.property(safetyOf, safetyOf, (own, policy) => {
        fc.pre(Object.keys(own.modes ?? {}).every((type) => own.detect?.includes(type as 'ip')))
        const before = load({ safety: own })
        const after = mergePolicy(before, parsePolicy({ safety: policy }))
        for (const type of TYPES) {
          const asked = strictness(
            { ...policy, detect: [...(policy.detect ?? []), ...(Object.keys(policy.modes ?? {}) as 'ip'[])] },
            type,
          )
          const isSaid = policy.mode !== undefined || policy.modes?.[type] !== undefined
          const now = strictness(after.config.safety, type)
          expect(now).toBeGreaterThanOrEqual(strictness(before.config.safety, type))
          expect(now).toBeGreaterThanOrEqual(isSaid ? asked : Math.min(asked, 0))
        }
        expect(mergePolicy(after, parsePolicy({ safety: policy })).config).toEqual(after.config)
      }),
    )
  })

  test('a policy leaves everything that it does not name as it was', () => {
    const own = load({ safety: { mode: 'warn' }, providers: { groq: { retries: 7 } } })
    const { config } = mergePolicy(own, parsePolicy({ budget: { tools: { max_calls: 3 } } }))
    const texts = (value: object) =>
      [...leaves(value)].map(({ key, value: leaf }) => `${keyText(key)} ${JSON.stringify(leaf)}`)
    expect(texts(config).filter((line) => !texts(own.config).includes(line))).toEqual(['budget.tools.max_calls 3'])
  })
})
