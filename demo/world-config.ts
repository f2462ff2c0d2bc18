/** The demo's configuration: an ordinary one, with providers, services and alerts that point at the simulated world. */
import { type Config, configSchema } from '../src/config/schema.ts'
import type { Inbox } from './inbox.ts'
import { DEMO_KEYS } from './operator.ts'
import type { World } from './world.ts'

/** A week-old reply of LinkedIn is still useful. */
const CACHE_TTL_S = 30 * 86_400

/** The name that checkpoints are stored under. */
export const DEMO_AGENT = 'lead_gen_agent'
export const DEMO_ENVIRONMENT = 'production'

export interface DemoSettings {
  world: World
  inbox: Inbox
  /** Minimum time per lead, in ms. */
  paceMs: number
}

/** The iron-cage.yaml that a user would write for such an agent; `given` are the flags that override it. */
export function demoConfig(
  { world, inbox, paceMs }: DemoSettings,
  given: Pick<Config, 'server' | 'db' | 'log' | 'budget'>,
): Config {
  return configSchema.parse({
    ...given,
    agent: {
      name: DEMO_AGENT,
      environment: DEMO_ENVIRONMENT,
      // For a vault that cannot be opened; values in the vault override it.
      env: { OPENAI_API_KEY: DEMO_KEYS[0], DEMO_PACE_MS: String(paceMs) },
    },
    budget: { ...given.budget, baseline: 'gpt-4' },
    providers: { openai: { base_url: `${world.url}/openai/v1` } },
    services: {
      linkedin_api: {
        base_url: `${world.url}/linkedin`,
        cost_per_call_usd: '0.10',
        // Five attempts within one call: exactly enough to open the circuit.
        retries: 4,
        // A refusal contains its duration (Retry-After), which is respected; nothing is added to it.
        breaker: { failures: 5, cooldown_s: 1 },
        fallback: { cache: { ttl_s: CACHE_TTL_S }, placeholder: { name: 'unknown', about: '' } },
      },
      clearbit_api: { base_url: `${world.url}/clearbit`, cost_per_call_usd: '0.01' },
    },
    alerts: {
      email: {
        to: 'ops@company.com',
        from: 'iron-cage@company.com',
        smtp_url: inbox.smtpUrl,
        events: ['budget.warned', 'budget.exhausted', 'agent.exited'],
      },
      webhooks: [{ url: inbox.webhookUrl }],
    },
  })
}
