/**
 * What the configuration may say, with every default. The file's keys are the object's keys, so that an error, the file
 * and the code name a setting alike. Unknown keys are errors. Each comment ends with the default.
 */
import * as z from 'zod'
import { parseAmount, toUsd } from '../money.ts'

/** "50", "50.00", "$50" or a number in the file; a decimal string afterwards. */
const usd = z
  .union([z.string(), z.number()], { error: 'expected an amount of US dollars such as 50 or "50.00"' })
  .transform((value, context) => {
    const nanos = parseAmount(String(value))
    if (nanos !== undefined) return toUsd(nanos)
    context.addIssue({ code: 'custom', message: 'expected an amount of US dollars such as 50 or "50.00"' })
    return z.NEVER
  })

const seconds = (most: number) => z.number().min(0.001).max(most)
const share = z.number().gt(0).lte(1)
const piiType = z.enum(['email', 'phone', 'ssn', 'credit_card', 'iban', 'ip', 'secret'])
const safetyMode = z.enum(['redact', 'block', 'warn'])
const url = z.url({ protocol: /^https?$/, error: 'expected an http or https address' })

const agent = z.strictObject({
  /** Shown everywhere; checkpoints are kept under it. (Default: the script's name.) */
  name: z.string().min(1).max(80).optional(),
  environment: z.enum(['development', 'staging', 'production']).default('development'),
  /** The interpreter. (Default: the active virtual environment, else .venv beside the script, else python3.) */
  python: z.string().optional(),
  /** Arguments after the script. (Default: none.) */
  args: z.array(z.string()).default([]),
  /** Variables added to the agent's environment. (Default: none.) */
  env: z.record(z.string(), z.string()).default({}),
  /** (Default: where iron-cage was started.) */
  cwd: z.string().optional(),
  restart: z
    .strictObject({
      enabled: z.boolean().default(true),
      /** So many quick crashes within window_s end in crash_loop. (Default: 5 in 60 s.) */
      max: z.number().int().min(1).max(100).default(5),
      window_s: seconds(86_400).default(60),
    })
    .prefault({}),
  /** Time between SIGTERM and SIGKILL. (Default: 5.) */
  stop_grace_s: seconds(600).default(5),
  provider_keys: z.enum(['inject', 'shield']).default('inject'),
})

const budget = z.strictObject({
  /** Hard limit of one agent. (Default: 100.) */
  limit_usd: usd.default('100'),
  warn_at: z.array(share).min(1).default([0.9]),
  /** What a spent budget does to the agent. (Default: stop.) */
  on_exhausted: z.enum(['stop', 'refuse']).default('stop'),
  /** Lower a call's max_tokens to what the budget can still pay. (Default: true.) */
  clamp_max_tokens: z.boolean().default(true),
  /** Model that cheaper calls are compared with in "vs baseline". (Default: none.) */
  baseline: z.string().optional(),
})

const safety = z.strictObject({
  mode: safetyMode.default('redact'),
  detect: z.array(piiType).default(['email', 'phone', 'ssn', 'credit_card', 'iban', 'secret']),
  /** Per type, e.g. { phone: warn }. (Default: mode for all.) */
  modes: z.partialRecord(piiType, safetyMode).default({}),
  /** E-mail addresses of these domains are left alone. (Default: none.) */
  allow_domains: z.array(z.string()).default([]),
  scope: z.array(z.enum(['replies', 'tool_arguments', 'logs'])).default(['replies', 'tool_arguments', 'logs']),
})

const provider = z.strictObject({
  base_url: url.optional(),
  api_key_secret: z.string().optional(),
  connect_timeout_s: seconds(600).default(10),
  /** Time to the first byte of the answer. (Default: 600, as the SDKs.) */
  first_byte_timeout_s: seconds(3600).default(600),
  /** Silence in the middle of an answer. (Default: 120.) */
  idle_timeout_s: seconds(3600).default(120),
  /** Further attempts before the first byte. (Default: 2.) */
  retries: z.number().int().min(0).max(10).default(2),
})

const price = z.strictObject({
  input_per_mtok: z.number().min(0).max(100_000),
  /** (Default: as input_per_mtok.) */
  cached_input_per_mtok: z.number().min(0).max(100_000).optional(),
  output_per_mtok: z.number().min(0).max(100_000),
})

const service = z.strictObject({
  base_url: url,
  /** What a successful live answer costs. (Default: 0.) */
  cost_per_call_usd: usd.default('0'),
  api_key_secret: z.string().optional(),
  breaker: z
    .strictObject({
      /** Consecutive failures that open the circuit. (Default: 5.) */
      failures: z.number().int().min(1).max(1000).default(5),
      /** (Default: 60.) */
      cooldown_s: seconds(86_400).default(60),
    })
    .prefault({}),
  fallback: z
    .strictObject({
      /** Answer with the last good answer to the same request, not older than ttl_s. (Default: off.) */
      cache: z.strictObject({ ttl_s: seconds(31_536_000).default(86_400) }).optional(),
      /** Answer with this JSON. (Default: off.) */
      placeholder: z.json().optional(),
    })
    .prefault({}),
  /** Time for one attempt. (Default: 30.) */
  timeout_s: seconds(600).default(30),
  /** Further attempts. (Default: 2.) */
  retries: z.number().int().min(0).max(10).default(2),
})

export const configSchema = z.strictObject({
  agent: agent.prefault({}),
  budget: budget.prefault({}),
  safety: safety.prefault({}),
  /** The providers calls go to; `openai` and `anthropic` are always there. */
  providers: z.record(z.string(), provider).default({}),
  /** Prices per million tokens that override the list, by model. */
  prices: z.record(z.string(), price).default({}),
  services: z.record(z.string().regex(/^[a-z][a-z0-9_-]{0,39}$/), service).default({}),
  server: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: z.number().int().min(0).max(65_535).default(8080),
      /** Further Host names that are answered, with port. (Default: none.) */
      allowed_hosts: z.array(z.string()).default([]),
      /** Origins that may call from a browser. (Default: none.) */
      cors_origins: z.array(url).default([]),
      max_body_bytes: z.number().int().min(1024).max(1_073_741_824).default(33_554_432),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
      format: z.enum(['text', 'json']).default('text'),
      dir: z.string().default('./iron_logs'),
      retention_days: z.number().int().min(1).max(3650).default(7),
    })
    .prefault({}),
  db: z
    .strictObject({
      path: z.string().default('./iron_state.db'),
      synchronous: z.enum(['normal', 'full']).default('normal'),
    })
    .prefault({}),
})

export type Config = z.output<typeof configSchema>
export type ServiceConfig = Config['services'][string]
export type ProviderConfig = Config['providers'][string]
