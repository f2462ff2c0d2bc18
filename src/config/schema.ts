/**
 * What the configuration may say, with every default. The file's keys are the object's keys, so that an error, the file
 * and the code name a setting alike. Unknown keys are errors. Each comment ends with the default.
 * An `error` here is what was expected, to be read after "expected " (`problems.ts` writes the sentence).
 */
import * as z from 'zod'
import { DEFAULT_DIALECT, DIALECT_NAMES, type DialectName, dialectNameOf } from '../dialects/dialects.ts'
import type { EventType } from '../events.ts'
import { NANOS_PER_USD, parseAmount, toUsd } from '../money.ts'
import { DEFAULT_PII_TYPES, PII_TYPES } from '../pii-types.ts'
import { isLinkLocal } from './addresses.ts'

const amountExpected = 'an amount of US dollars such as 50 or "50.00"'

/** "50", "50.00", "$50" or a number in the file; a decimal string afterwards. 0 is an amount. */
const usd = z.union([z.string(), z.number()], { error: amountExpected }).transform((value, context) => {
  const nanos = typeof value === 'string' ? parseAmount(value) : amountOfNumber(value)
  if (nanos !== undefined) return toUsd(nanos)
  context.addIssue({ code: 'custom', message: amountExpected })
  return z.NEVER
})

/** Not String(value): that writes small numbers as 1e-7. A number with more than nine decimals is no amount. */
function amountOfNumber(value: number): number | undefined {
  const nanos = parseAmount(value.toFixed(9))
  return nanos !== undefined && nanos / NANOS_PER_USD === value ? nanos : undefined
}

const text = (least: number, most: number) => {
  // Only when it is told: the first number that is written like this takes longer than all of the schema.
  const error = () => `text of ${least} to ${most.toLocaleString('en-US')} characters`
  return z.string({ error }).min(least, { error }).max(most, { error })
}
const path = text(1, 4096).refine((value) => !value.includes('\0'), { error: 'a path' })
const wholeNumber = (least: number, most: number) => {
  const error = `a whole number from ${least} to ${most}`
  return z.number({ error }).int({ error }).min(least, { error }).max(most, { error })
}
const seconds = (most: number) => {
  const error = `seconds, a number from 0.001 to ${most}`
  return z.number({ error }).min(0.001, { error }).max(most, { error })
}
const shareExpected = 'a share above 0 and at most 1, such as 0.9'
const share = z.number({ error: shareExpected }).gt(0, { error: shareExpected }).lte(1, { error: shareExpected })

const piiType = z.enum(PII_TYPES)
const safetyMode = z.enum(['redact', 'block', 'warn'])
const url = z.url({ protocol: /^https?$/, error: 'an http or https address' })
/** Paths are put behind it: what follows a path would be lost, and a password is to be in the vault. */
const baseUrl = url.refine(
  (value) => {
    const { username, password, search, hash } = URL.canParse(value) ? new URL(value) : new URL('http://x')
    return username + password + search + hash === ''
  },
  { error: 'an address without user, query (?…) and fragment (#…)' },
)
const host = text(1, 253).regex(/^[a-zA-Z0-9.:_-]+$/, { error: 'a host name or an IP address' })
const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'the name of an environment variable' })

const agent = z.strictObject({
  /** Shown everywhere; checkpoints are kept under it and the script's path. (Default: the script's name.) */
  name: text(1, 80)
    .regex(/^\P{Cc}*$/u, { error: 'text without control characters' })
    .optional(),
  /** Whose secrets the agent gets. (Default: development.) */
  environment: z.enum(['development', 'staging', 'production']).default('development'),
  /** The interpreter. (Default: the active virtual environment, else .venv or venv beside the script, else python3.) */
  python: path.optional(),
  /** Arguments after the script. (Default: none.) */
  args: z.array(z.string()).default([]),
  /** Variables added to the agent's environment. (Default: none.) */
  env: z.record(variableName, z.string()).default({}),
  /** (Default: where iron-cage was started.) */
  cwd: path.optional(),
  restart: z
    .strictObject({
      /** Start the agent again after a crash. (Default: true.) */
      enabled: z.boolean().default(true),
      /** So many crashes within window_s end in crash_loop. (Default: 5 in 60 s.) */
      max: wholeNumber(1, 100).default(5),
      window_s: seconds(86_400).default(60),
      /**
       * Restarts in a row after lives that saved no new checkpoint, finished no new unit and got no further in their
       * progress; one more such life ends in crash_loop, however long each was. (Default: 2.)
       */
      without_progress: wholeNumber(0, 1000).default(2),
    })
    .prefault({}),
  /** Time between SIGTERM and SIGKILL. (Default: 5.) */
  stop_grace_s: seconds(600).default(5),
  /** Walls of the operating system around the agent (docs/sandbox.md). */
  sandbox: z
    .strictObject({
      /**
       * off; observe reports and stops nothing; standard restricts files and processes; strict has no network but what is
       * listed. (Default: auto, which is standard or, where the machine cannot, observe or off.)
       */
      level: z.enum(['off', 'observe', 'standard', 'strict', 'auto']).default('auto'),
      /** Paths it may read and execute besides the system, its interpreter and its script's folder. (Default: none.) */
      read: z.array(path).default([]),
      /** Paths it may write to besides its working folder. (Default: none.) */
      write: z.array(path).default([]),
      /** Places it may connect to, as "db.internal:5432"; listing some closes the others. (Default: all, but in strict.) */
      connect: z
        .array(
          z.string().regex(/^[^\s:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/, {
            error: 'a host and a port such as db.internal:5432',
          }),
        )
        .default([]),
      /** Sockets that are closed otherwise: unix, udp (in a limited network), listen (in a limited network). */
      allow: z.array(z.enum(['unix', 'udp', 'listen'])).default([]),
      /** Of each process, but for processes: with its threads, in all. (Default: none.) */
      limits: z
        .strictObject({
          memory_mb: wholeNumber(16, 1_048_576).optional(),
          processes: wholeNumber(1, 1_000_000).optional(),
          cpu_s: wholeNumber(1, 31_536_000).optional(),
          open_files: wholeNumber(16, 1_048_576).optional(),
          file_mb: wholeNumber(1, 1_048_576).optional(),
        })
        .prefault({}),
    })
    .prefault({}),
  /** inject: the agent gets the provider's key; shield: it gets its run token instead. (Default: inject.) */
  provider_keys: z.enum(['inject', 'shield']).default('inject'),
})

function isTimeZone(name: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat('en', { timeZone: name }))
  } catch {
    return false
  }
}

const budget = z.strictObject({
  /** Hard limit of one agent; 0 means no paid call. (Default: 100.) */
  limit_usd: usd.default('100'),
  /** Hard limit of one run; a restart begins a new one. (Default: none.) */
  per_run_usd: usd.optional(),
  /** Hard limit of all agents together. (Default: none.) */
  server_usd: usd.optional(),
  /** The agents' limits and the server's are for one day or month each, by the calendar of a zone. (Default: for ever; UTC.) */
  period: z
    .strictObject({
      every: z.enum(['day', 'month']),
      time_zone: text(1, 60).refine(isTimeZone, { error: 'a time zone such as Europe/Warsaw' }).default('UTC'),
    })
    .optional(),
  /** Shares of the limit at which to warn, once each. (Default: 0.9.) */
  warn_at: z.array(share).min(1).default([0.9]),
  /** What a spent budget does to the agent. (Default: stop.) */
  on_exhausted: z.enum(['stop', 'refuse']).default('stop'),
  /**
   * Limit a call that does not say how much it wants, where the longest answer of its model costs more than a tenth of
   * what is left. false writes no limit into any call; one that cannot be paid is refused. (Default: true.)
   */
  clamp_max_tokens: z.boolean().default(true),
  /** Model that cheaper calls are compared with in "vs baseline". (Default: none.) */
  baseline: text(1, 200).optional(),
})

const safety = z
  .strictObject({
    /** What happens to personal data: replace it, refuse the reply and stop, or only tell. (Default: redact.) */
    mode: safetyMode.default('redact'),
    /** (Default: all but ip.) */
    detect: z.array(piiType).default(DEFAULT_PII_TYPES),
    /** Per type, e.g. { phone: warn }. (Default: mode for all.) */
    modes: z.partialRecord(piiType, safetyMode).default({}),
    /** E-mail addresses of these domains are left alone. (Default: none.) */
    allow_domains: z
      .array(z.string().regex(/^[\p{L}\p{N}-]+(\.[\p{L}\p{N}-]+)+$/u, { error: 'a domain such as example.com' }))
      .default([]),
    /** Addresses and numbers that are left alone, whatever stands between their digits; secrets never. (Default: none.) */
    allow_values: z.array(text(1, 320)).default([]),
    /** Where personal data is looked for. requests: also in what is sent to providers. (Default: all but requests.) */
    scope: z
      .array(z.enum(['replies', 'tool_arguments', 'logs', 'requests']))
      .default(['replies', 'tool_arguments', 'logs']),
  })
  .superRefine(({ detect, modes }, context) => {
    for (const type of piiType.options) {
      if (modes[type] && !detect.includes(type)) {
        context.addIssue({ code: 'custom', path: ['modes', type], message: `"${type}" in safety.detect as well` })
      }
    }
  })

const breaker = z.strictObject({
  /** Consecutive failures that open the circuit. (Default: 5.) */
  failures: wholeNumber(1, 1000).default(5),
  /** Instead: this share of the last so many calls has failed, e.g. { share: 0.5, calls: 20 }. (Default: off.) */
  failure_rate: z.strictObject({ share, calls: wholeNumber(2, 1000) }).optional(),
  /** Time until a probe is let through. (Default: 60.) */
  cooldown_s: seconds(86_400).default(60),
})

const rateLimitExpected = 'seconds, a number from 0 to 600'
const provider = z.strictObject({
  /** (Default: the provider's own.) */
  base_url: baseUrl.optional(),
  /** The variable of the server's environment that holds its key. (Default: what the client sends.) */
  api_key_secret: variableName.optional(),
  /** (Default: 10.) */
  connect_timeout_s: seconds(600).default(10),
  /** Time to the first byte of the answer. (Default: 600, as the SDKs.) */
  first_byte_timeout_s: seconds(3600).default(600),
  /** Silence in the middle of an answer. (Default: 120.) */
  idle_timeout_s: seconds(3600).default(120),
  /** A whole call, from its arrival to the last byte of its answer, waits included. (Default: 3600.) */
  total_timeout_s: seconds(86_400).default(3600),
  /** Further attempts before the first byte. (Default: 2.) */
  retries: wholeNumber(0, 10).default(2),
  /**
   * How long a call may wait, in all, where the provider answers 429, 503 or 529 with Retry-After; then its answer is
   * passed on. 0 passes it on at once. (Default: 60.)
   */
  rate_limit_wait_s: z
    .number({ error: rateLimitExpected })
    .min(0, { error: rateLimitExpected })
    .max(600, { error: rateLimitExpected })
    .default(60),
  /** Of the provider's circuit, and of each of its models. (Default: 5 failures, 60 s.) */
  breaker: breaker.prefault({}),
  /**
   * Asked one after the other when this provider cannot answer; of providers that speak alike, each model with a price.
   * (Default: none.)
   */
  fallback: z
    .array(z.strictObject({ provider: text(1, 100), model: text(1, 200) }))
    .max(5)
    .default([]),
})

const priceExpected = 'dollars per million tokens, a number from 0 to 100000'
const perMillionTokens = z
  .number({ error: priceExpected })
  .min(0, { error: priceExpected })
  .max(100_000, { error: priceExpected })
  // No model costs less than a tenth of a cent per million tokens; prices per token all look like this.
  .refine((value) => value === 0 || value >= 0.001, {
    error: 'dollars per million tokens (this looks like a price per token)',
  })
const perThousand = (what: string) => {
  const error = `dollars per thousand ${what}, a number from 0 to 10000`
  return z.number({ error }).min(0, { error }).max(10_000, { error })
}
const price = z.strictObject({
  input_per_mtok: perMillionTokens,
  /** (Default: as input_per_mtok.) */
  cached_input_per_mtok: perMillionTokens.optional(),
  /** What is written to a cache for five minutes, or for as long as the provider likes. (Default: as input_per_mtok.) */
  cache_write_per_mtok: perMillionTokens.optional(),
  /** (Default: as cache_write_per_mtok.) */
  cache_write_1h_per_mtok: perMillionTokens.optional(),
  output_per_mtok: perMillionTokens,
  /** (Default: a call with audio is refused.) */
  audio_input_per_mtok: perMillionTokens.optional(),
  audio_output_per_mtok: perMillionTokens.optional(),
  /** Images that a model answers with. (Default: a call that asks for images is refused.) */
  image_output_per_mtok: perMillionTokens.optional(),
  /** Dollars for a thousand calls, beside their tokens. (Default: 0.) */
  calls_per_thousand: perThousand('calls').optional(),
  /** Dollars for a thousand searches of the provider's own search tool. (Default: 25, and the charge is an estimate.) */
  web_search_per_thousand: perThousand('searches').optional(),
  /** Tokens that the model can read and write in one call. (Default: 2,000,000 where it matters.) */
  context_window: wholeNumber(1, 100_000_000).optional(),
  /** Tokens that the model answers with at most. (Default: not known.) */
  max_output_tokens: wholeNumber(1, 100_000_000).optional(),
  /** The price is meant, although it is more than twenty times above or below the list. (Default: false.) */
  confirm: z.boolean().optional(),
})

const httpMethod = z.string().regex(/^[A-Z]{1,20}$/, { error: 'a method in capitals such as POST' })

const service = z.strictObject({
  base_url: baseUrl,
  /** What a successful live answer costs. (Default: 0.) */
  cost_per_call_usd: usd.default('0'),
  /** Name of the secret that holds its key. (Default: what the agent sends.) */
  api_key_secret: variableName.optional(),
  breaker: breaker.prefault({}),
  fallback: z
    .strictObject({
      /**
       * Answer with the last good answer to the same request of the same agent, not older than ttl_s. Answers to other
       * methods, which may do something, only when they are listed. (Default: off; ttl_s: a day; methods: GET, HEAD.)
       */
      cache: z
        .strictObject({
          ttl_s: seconds(31_536_000).default(86_400),
          methods: z.array(httpMethod).default(['GET', 'HEAD']),
        })
        .optional(),
      /** Answer with this JSON. (Default: off.) */
      placeholder: z.json().optional(),
    })
    .prefault({}),
  /** Time for one attempt. (Default: 30.) */
  timeout_s: seconds(600).default(30),
  /** Further attempts. (Default: 2.) */
  retries: wholeNumber(0, 10).default(2),
})

/** The types of events that alerts come from (`alerts/wording.ts`); a webhook may ask for some of them. */
const alertingEvents: readonly EventType[] = [
  'budget.warned',
  'budget.exhausted',
  'model.refused',
  'circuit.opened',
  'pii.found',
  'agent.exited',
  'agent.stopped',
  'audit.broken',
  'vault.broken',
  'secret.reload_failed',
  'secret.rolled_back',
]

const emailAddress = z.string().regex(/^[^\s@<>,;"]+@[^\s@<>,;"]+$/, { error: 'an e-mail address' })
const alerts = z.strictObject({
  /** (Default: no e-mail.) */
  email: z
    .strictObject({
      /** One address or several. */
      to: z
        .union([emailAddress, z.array(emailAddress).min(1)], { error: 'an e-mail address or a list of them' })
        .transform((to) => [to].flat()),
      from: emailAddress,
      /** smtp:// (STARTTLS where offered) or smtps://, with user and password if the server wants them. */
      smtp_url: z.url({ protocol: /^smtps?$/, error: 'an smtp or smtps address such as smtp://localhost:25' }),
    })
    .optional(),
  /** (Default: none.) */
  webhooks: z
    .array(
      z.strictObject({
        url: url.refine((value) => !URL.canParse(value) || !isLinkLocal(new URL(value).hostname), {
          error: 'an address that is not link-local',
        }),
        /** Signs each delivery (HMAC-SHA-256). (Default: not signed.) */
        secret: text(1, 1024).optional(),
        /** Types of events whose alerts to send. (Default: all.) */
        events: z.array(z.enum(alertingEvents)).min(1).optional(),
      }),
    )
    .default([]),
})

/** Any other server that speaks as OpenAI or Anthropic do: Azure, Ollama, vLLM, OpenRouter, Groq, Mistral … */
const otherProvider = provider.extend({
  base_url: baseUrl,
  /** How it speaks. (Default: openai.) */
  dialect: z.enum(DIALECT_NAMES).default(DEFAULT_DIALECT),
})

const ownProviders = Object.fromEntries(DIALECT_NAMES.map((name) => [name, provider.prefault({})])) as Record<
  DialectName,
  z.ZodPrefault<typeof provider>
>

const serviceName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,39}$/, { error: 'a name of a-z, 0-9, _ and - that begins with a letter' })

export const configSchema = z.strictObject({
  agent: agent.prefault({}),
  budget: budget.prefault({}),
  safety: safety.prefault({}),
  /** One for each dialect is always there, by the dialect's name; others by a name of their own. */
  providers: z
    .object(ownProviders)
    .catchall(otherProvider)
    .superRefine((providers: Readonly<Record<string, ProviderConfig>>, context) => {
      const speech = (name: string) => dialectNameOf(name, providers[name]?.dialect)
      for (const [name, { fallback }] of Object.entries(providers)) {
        for (const [index, other] of fallback.entries()) {
          if (Object.hasOwn(providers, other.provider) && speech(other.provider) === speech(name)) continue
          const message = `a provider that speaks as ${name} does, one of the configuration`
          context.addIssue({ code: 'custom', path: [name, 'fallback', index, 'provider'], message })
        }
      }
    })
    .prefault({}),
  /**
   * Prices per million tokens that override the list, by "provider/model". A model alone means the vendors' own providers,
   * and another one only where it is the only other. (Default: none.)
   */
  prices: z.record(text(1, 200), price).default({}),
  /** Outside APIs the agent's tools use, by name. (Default: none.) */
  services: z.record(serviceName, service).default({}),
  alerts: alerts.prefault({}),
  server: z
    .strictObject({
      /** (Default: 127.0.0.1, which listens on [::1] as well.) */
      host: host.default('127.0.0.1'),
      /** Listen on an address that other machines reach; needs a user as well. (Default: false, and such a host is refused.) */
      allow_remote: z.boolean({ error: 'true or false' }).default(false),
      /** 0 takes any free one. (Default: 8080.) */
      port: wholeNumber(0, 65_535).default(8080),
      /** Further Host names that are answered, with port. (Default: none.) */
      allowed_hosts: z.array(text(1, 260)).default([]),
      /** Origins whose pages may call from a browser, with a token, and read the answers. (Default: none.) */
      cors_origins: z
        .array(
          url.refine((value) => URL.canParse(value) && new URL(value).origin === value, {
            error: 'an origin such as https://example.com, without a path',
          }),
        )
        .default([]),
      /** (Default: 32 MiB.) */
      max_body_bytes: wholeNumber(1024, 1_073_741_824).default(33_554_432),
    })
    .prefault({}),
  log: z
    .strictObject({
      /** The least level that is written and shown. (Default: info.) */
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
      /** How `start` and `serve` print events. (Default: text.) */
      format: z.enum(['text', 'json']).default('text'),
      /** Where the log files are. (Default: ./iron_logs.) */
      dir: path.default('./iron_logs'),
      /**
       * What one agent may print into the log in a day, beside the lines that are shown; further ones are counted, and the
       * last ones before its end always are shown. (Default: 64 MiB.)
       */
      max_agent_output_bytes: wholeNumber(0, 1_099_511_627_776).default(67_108_864),
      /** Log files and events older than this are deleted. (Default: 7.) */
      retention_days: wholeNumber(1, 3650).default(7),
    })
    .prefault({}),
  db: z
    .strictObject({
      /** (Default: ./iron_state.db.) */
      path: path.default('./iron_state.db'),
      /** full survives a power cut as well as a kill. (Default: normal.) */
      synchronous: z.enum(['normal', 'full']).default('normal'),
    })
    .prefault({}),
})

export type Config = z.output<typeof configSchema>
export type ServiceConfig = Config['services'][string]
export type ProviderConfig = z.output<typeof provider> & Partial<z.output<typeof otherProvider>>
export type BreakerConfig = z.output<typeof breaker>
export type AlertsConfig = Config['alerts']
export type WebhookConfig = AlertsConfig['webhooks'][number]
