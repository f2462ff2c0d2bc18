/**
 * The configuration schema: every key with its type, default and description. `npm run docs` generates the reference in
 * docs/configuration.md from it. The file's keys are the object's keys, so that errors, the file and the code use the
 * same name for a setting. Unknown keys are errors. An `error` here completes the sentence "expected …"
 * (`problems.ts`).
 */
import * as z from 'zod'
import type { EventType } from '../core/events.ts'
import { NANOS_PER_USD, type Nanodollars, parseAmount, toUsd } from '../core/money.ts'
import { DEFAULT_PII_TYPES, PII_TYPES } from '../core/pii-types.ts'
import { DEFAULT_DIALECT, DIALECT_NAMES } from '../dialects/dialects.ts'
import { BUILT_IN, dialectNameOf, KNOWN_PROVIDER_NAMES, knownProvider } from '../dialects/known-providers.ts'
import { isLinkLocal, isNetwork } from './addresses.ts'
import { isName } from './authority.ts'
import { ENVIRONMENTS } from './environments.ts'
import { parseEntry } from './host-list.ts'
import { tagsSchema } from './tags.ts'

const amountExpected = 'an amount of US dollars such as 50 or "50.00"'

/** "50", "50.00", "$50" or a number in the file; parsed to a decimal string. 0 is valid. */
const usd = z
  .union([z.string(), z.number()], { error: amountExpected })
  .meta({ title: 'US dollars' })
  .transform((value, context) => {
    const nanos = typeof value === 'string' ? parseAmount(value) : amountOfNumber(value)
    if (nanos !== undefined) return toUsd(nanos)
    context.addIssue({ code: 'custom', message: amountExpected })
    return z.NEVER
  })

/** Not String(value), which writes small numbers as 1e-7. A number with more than nine decimals is invalid. */
function amountOfNumber(value: number): Nanodollars | undefined {
  const nanos = parseAmount(value.toFixed(9))
  return nanos !== undefined && nanos / NANOS_PER_USD === value ? nanos : undefined
}

const text = (min: number, max: number) => {
  // Formatted lazily: the first toLocaleString takes longer than all of the schema.
  const error = () => `text of ${min} to ${max.toLocaleString('en-US')} characters`
  return z.string({ error }).min(min, { error }).max(max, { error })
}
const nameWithWildcard = text(1, 200).refine((key) => key.split('*').length <= 2, {
  error: 'a name with at most one *',
})
const path = text(1, 4096)
  .refine((value) => !value.includes('\0'), { error: 'a path' })
  .meta({ title: 'path' })
const wholeNumber = (min: number, max: number) => {
  const error = `a whole number from ${min} to ${max}`
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error })
}
const seconds = (max: number) => {
  const error = `seconds, a number from 0.001 to ${max}`
  return z.number({ error }).min(0.001, { error }).max(max, { error })
}
const shareExpected = 'a share above 0 and at most 1, such as 0.9'
const share = z.number({ error: shareExpected }).gt(0, { error: shareExpected }).lte(1, { error: shareExpected })

const piiType = z.enum(PII_TYPES)
const safetyMode = z.enum(['redact', 'block', 'warn'])
const ADDRESS_EXPECTED = 'an http or https address'
const url = z.url({ protocol: /^https?$/, error: ADDRESS_EXPECTED })
/** Paths are appended to it, so a query or fragment would be lost; passwords belong in the vault. */
const baseUrl = url.refine(
  (value) => {
    const { username, password, search, hash } = URL.canParse(value) ? new URL(value) : new URL('http://x')
    return username + password + search + hash === ''
  },
  { error: 'an address without user, query (?…) and fragment (#…)' },
)
const proxyUrl = url.optional()
const host = text(1, 253).regex(/^[a-zA-Z0-9.:_-]+$/, { error: 'a host name or an IP address' })
const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'the name of an environment variable' })

const destination = z.string().refine((value) => parseEntry(value) !== undefined, {
  error: 'a host such as api.github.com, *.wikipedia.org or db.internal:5432',
})
const privateDestination = destination.refine((value) => /:\d+$/.test(value) && !value.startsWith('*'), {
  error: 'a host and a port such as db.internal:5432',
})
const egress = z.strictObject({
  allow: z
    .array(destination)
    .default([])
    .describe(
      'Hosts that the agent reaches, such as `api.github.com`, `"*.wikipedia.org"` or `db.example.com:5432`. Port 443 unless one is given; `*` stands for one label or more.',
    ),
  private: z
    .array(privateDestination)
    .default([])
    .describe('Hosts with their port that may have an address of a private network or of this machine.'),
  mode: z
    .enum(['enforce', 'observe'])
    .default('enforce')
    .describe('`enforce` refuses what is not listed; `observe` only records it.'),
})

const agent = z.strictObject({
  name: text(1, 80)
    .regex(/^\P{Cc}*$/u, { error: 'text without control characters' })
    .optional()
    .describe("Name shown everywhere. Checkpoints are stored by name and script path. Defaults to the script's name."),
  tags: tagsSchema
    .default({})
    .describe(
      'What its cost is grouped by in reports, such as `{ customer: acme }`. At most 10; clients with a token have them too.',
    ),
  environment: z.enum(ENVIRONMENTS).default('development').describe('Environment whose secrets the agent gets.'),
  python: path
    .optional()
    .describe(
      'Python interpreter. Defaults to the active virtual environment, then `.venv` or `venv` beside the script, then `python3`.',
    ),
  args: z.array(z.string()).default([]).describe('Arguments passed to the script.'),
  env: z.record(variableName, z.string()).default({}).describe("Variables added to the agent's environment."),
  cwd: path.optional().describe('Working directory. Defaults to the directory `iron-cage` was started in.'),
  restart: z
    .strictObject({
      enabled: z.boolean().default(true).describe('Restart the agent after a crash.'),
      max: wholeNumber(1, 100).default(5).describe('Crashes within `window_s` after which the agent is not restarted.'),
      window_s: seconds(86_400).default(60).describe('Time window for `max`.'),
      without_progress: wholeNumber(0, 1000)
        .default(2)
        .describe(
          'Consecutive restarts allowed without progress. Progress is a new checkpoint, a newly finished unit of work or a higher progress count.',
        ),
    })
    .prefault({})
    .describe('Restarts after crashes.'),
  stop_grace_s: seconds(600)
    .default(5)
    .describe(
      'How long an agent may take to stop: SIGINT comes first, SIGTERM after half of it, SIGKILL at its end. An agent that has spent its budget has as long before that to end by itself.',
    ),
  sandbox: z
    .strictObject({
      level: z
        .enum(['off', 'observe', 'standard', 'strict', 'auto'])
        .default('auto')
        .describe(
          '`observe` only reports; `standard` restricts files and processes; `strict` also restricts the network; `auto` is `standard` where the machine supports it, otherwise `observe` or `off`.',
        ),
      read: z
        .array(path)
        .default([])
        .describe(
          "Extra paths the agent may read and execute, beyond the system, its interpreter and its script's folder.",
        ),
      write: z.array(path).default([]).describe('Extra paths the agent may write, beyond its working directory.'),
      connect: z
        .array(
          z.string().regex(/^[^\s:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/, {
            error: 'a host and a port such as db.internal:5432',
          }),
        )
        .default([])
        .describe('Allowed destinations, such as `db.internal:5432`. Listing one blocks all others.'),
      allow: z
        .array(z.enum(['unix', 'udp', 'listen']))
        .default([])
        .describe('Sockets to allow: `unix` for Unix sockets, `udp` and `listen` where the network is restricted.'),
      limits: z
        .strictObject({
          memory_mb: wholeNumber(16, 1_048_576)
            .optional()
            .describe('Memory of all processes together, in MiB; without control groups, of each process.'),
          processes: wholeNumber(1, 1_000_000).optional().describe('Processes and threads in total.'),
          cpu_s: wholeNumber(1, 31_536_000).optional().describe('CPU time of each process, in seconds.'),
          open_files: wholeNumber(16, 1_048_576).optional().describe('Open files of each process.'),
          file_mb: wholeNumber(1, 1_048_576).optional().describe('Size of each file written, in MiB.'),
        })
        .prefault({})
        .describe('Resource limits. None are set by default.'),
    })
    .prefault({})
    .describe('Operating-system sandbox around the agent; see docs/sandbox.md.'),
  egress: egress
    .optional()
    .describe(
      'Destinations of the agent besides providers and services. Without it, connections are not restricted here; see docs/egress.md.',
    ),
  provider_keys: z
    .enum(['inject', 'shield'])
    .default('inject')
    .describe("`inject` gives the agent the providers' keys; `shield` gives it its run token instead."),
  telemetry: z
    .boolean({ error: 'true or false' })
    .default(false)
    .describe('Let the SDKs of agents send telemetry and traces to their vendors; see docs/agents.md.'),
})

function isTimeZone(name: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat('en', { timeZone: name }))
  } catch {
    return false
  }
}

const budget = z.strictObject({
  limit_usd: usd.prefault('100').describe('Hard limit of each agent. 0 allows no paid call.'),
  per_run_usd: usd.optional().describe('Hard limit of each run. A restart begins a new run.'),
  server_usd: usd.optional().describe('Hard limit of all agents together.'),
  period: z
    .strictObject({
      every: z.enum(['day', 'month']).describe('Calendar period after which spending starts again from zero.'),
      time_zone: text(1, 60)
        .refine(isTimeZone, { error: 'a time zone such as Europe/Warsaw' })
        .default('UTC')
        .describe('Time zone of the calendar.'),
    })
    .optional()
    .describe(
      'Makes `limit_usd` and `server_usd` limits per period; a call counts in the period in which its money was held. By default they never reset.',
    ),
  warn_at: z.array(share).min(1).default([0.9]).describe('Shares of the limit at which to warn, once each.'),
  on_exhausted: z
    .enum(['stop', 'refuse', 'pause'])
    .default('stop')
    .describe(
      'When the budget is exhausted: `stop` the agent, `refuse` paid calls and let it run, or `pause` them until a person raises the budget or stops the agent.',
    ),
  pause_s: seconds(86_400)
    .default(1800)
    .describe('Longest wait of a paused call, within `total_timeout_s` of its provider. Then it is refused.'),
  on_warn: z
    .strictObject({
      model: text(3, 300)
        .regex(/^[^/\s]+\/\S+$/, { error: 'a provider and a model such as openai/gpt-4o-mini' })
        .describe('Provider and model that answer calls of the same dialect instead, if that costs less.'),
    })
    .optional()
    .describe("What changes once an agent's budget has warned (`warn_at`), such as `{ model: openai/gpt-4o-mini }`."),
  loops: z
    .strictObject({
      repeats: wholeNumber(3, 60)
        .default(10)
        .describe('Equal calls, or equal calls of a tool in a row, from which an agent goes round in circles.'),
      action: z
        .enum(['report', 'refuse'])
        .default('report')
        .describe('`report` records `loop.detected`, `refuse` also refuses such calls until something changes.'),
    })
    .prefault({})
    .describe('Detection of agents that go round in circles.'),
  tools: z
    .strictObject({
      max_calls: wholeNumber(0, 1_000_000)
        .optional()
        .describe('Calls of tools by each run, those of MCP servers included. No limit by default.'),
      per_tool: z
        .record(nameWithWildcard, wholeNumber(0, 1_000_000))
        .default({})
        .describe('The same by name, such as `{ search: 20, "mcp__*": 50 }`. The longest name that matches applies.'),
    })
    .prefault({})
    .describe('Limits for calls of tools. Above one, calls of the run are refused.'),
  clamp_max_tokens: z
    .boolean()
    .default(true)
    .describe(
      'Set a token limit on calls without one when the longest possible reply would cost more than a tenth of the remaining budget. With `false`, a call that does not fit is refused.',
    ),
  baseline: text(1, 200).optional().describe('Model that cheaper calls are compared with to report savings.'),
})

const safety = z
  .strictObject({
    mode: safetyMode
      .default('redact')
      .describe(
        '`redact` replaces personal data, `block` refuses the reply and stops the agent, `warn` only reports it.',
      ),
    detect: z
      .array(piiType)
      .default(DEFAULT_PII_TYPES)
      .describe('Types of personal data to detect; see docs/detection.md.'),
    modes: z
      .partialRecord(piiType, safetyMode)
      .default({})
      .describe('Mode per type, such as `{ phone: warn }`. Other types use `mode`.'),
    allow_domains: z
      .array(z.string().regex(/^[\p{L}\p{N}-]+(\.[\p{L}\p{N}-]+)+$/u, { error: 'a domain such as example.com' }))
      .default([])
      .describe('Domains whose e-mail addresses are not redacted.'),
    allow_values: z
      .array(text(1, 320))
      .default([])
      .describe('Addresses and numbers that are not redacted, however their digits are separated. Secrets always are.'),
    scope: z
      .array(z.enum(['replies', 'tool_arguments', 'logs', 'requests']))
      .default(['replies', 'tool_arguments', 'logs'])
      .describe('Where personal data is detected. `requests` covers what is sent to providers.'),
    given: z
      .enum(['pass', 'redact'])
      .default('pass')
      .describe(
        'Personal data in the arguments of tools that the same request contains: `pass` leaves it in place, because the agent has it already and the mail must reach somebody; `redact` replaces it. Secrets are always redacted, and logs, events and incidents never show either.',
      ),
    placeholders: z
      .enum(['labels', 'shaped'])
      .default('labels')
      .describe(
        'What replaces a value: `labels` such as `[EMAIL_REDACTED]`; `shaped` is a value of the same shape for all types but secrets, wallets and the numbers of states, such as `redacted-3fa2c1d0@redacted.example`, so that typed extraction accepts it. Equal values get the same one while the server runs.',
      ),
  })
  .superRefine(({ detect, modes }, context) => {
    for (const type of piiType.options) {
      if (modes[type] && !detect.includes(type)) {
        context.addIssue({ code: 'custom', path: ['modes', type], message: `"${type}" in safety.detect as well` })
      }
    }
  })

const breaker = z.strictObject({
  failures: wholeNumber(1, 1000).default(5).describe('Consecutive failures that open the circuit.'),
  failure_rate: z
    .strictObject({
      share: share.describe('Share of failed calls.'),
      calls: wholeNumber(2, 1000).describe('Number of most recent calls.'),
    })
    .optional()
    .describe('Open on a failure rate instead, such as `{ share: 0.5, calls: 20 }`.'),
  cooldown_s: seconds(86_400).default(60).describe('Time before a probe call is allowed.'),
})

const priceExpected = 'dollars per million tokens, a number from 0 to 100000'
const perMillionTokens = z
  .number({ error: priceExpected })
  .min(0, { error: priceExpected })
  .max(100_000, { error: priceExpected })
  // No model costs less than a tenth of a cent per million tokens; prices per token always do.
  .refine((value) => value === 0 || value >= 0.001, {
    error: 'dollars per million tokens (this looks like a price per token)',
  })
const perThousand = (what: string) => {
  const error = `dollars per thousand ${what}, a number from 0 to 10000`
  return z.number({ error }).min(0, { error }).max(10_000, { error })
}
const price = z.strictObject({
  input_per_mtok: perMillionTokens.describe('Input tokens.'),
  cached_input_per_mtok: perMillionTokens
    .optional()
    .describe('Input tokens read from a cache. Defaults to `input_per_mtok`.'),
  cache_write_per_mtok: perMillionTokens
    .optional()
    .describe(
      'Tokens written to a cache for five minutes, or for as long as the provider chooses. Defaults to `input_per_mtok`.',
    ),
  cache_write_1h_per_mtok: perMillionTokens
    .optional()
    .describe('Tokens written to a cache for one hour. Defaults to `cache_write_per_mtok`.'),
  output_per_mtok: perMillionTokens.describe('Output tokens.'),
  audio_input_per_mtok: perMillionTokens
    .optional()
    .describe('Audio input tokens. Without it, calls with audio are refused.'),
  audio_output_per_mtok: perMillionTokens
    .optional()
    .describe('Audio output tokens. Without it, calls with audio are refused.'),
  image_output_per_mtok: perMillionTokens
    .optional()
    .describe('Image output tokens. Without it, calls that request images are refused.'),
  calls_per_thousand: perThousand('calls').optional().describe('Fee per thousand calls, added to the tokens.'),
  web_search_per_thousand: perThousand('searches')
    .optional()
    .describe("Fee per thousand uses of the provider's web search tool. Defaults to $25, charged as an estimate."),
  context_window: wholeNumber(1, 100_000_000)
    .optional()
    .describe('Tokens the model can read and write in one call. Defaults to 2,000,000 where it matters.'),
  max_output_tokens: wholeNumber(1, 100_000_000).optional().describe("Most tokens in one of the model's replies."),
  confirm: z
    .boolean()
    .optional()
    .describe('Accept a price more than twenty times above or below the public price list.'),
})

const routeName = z.string().regex(/^(GET|POST|DELETE) (\/([\w.:-]+|\{id\}))+$/, {
  error: 'a method and a path such as "POST /images/generations" or "GET /files/{id}"',
})
const route = z.strictObject({
  per_call_usd: usd.prefault('0').describe('Price of a call; 0 for one that costs nothing.'),
  per_image_usd: usd.optional().describe('Price of each image, by `n` of the request.'),
  per_thousand_characters_usd: usd.optional().describe('Price of a thousand characters of `input`, as of speech.'),
  per_megabyte_usd: usd.optional().describe('Price of a million bytes of the request, as of recordings.'),
})

const rateLimitExpected = 'seconds, a number from 0 to 600'
const provider = z.strictObject({
  base_url: baseUrl.optional().describe("Base URL. Defaults to the provider's own."),
  api_key_secret: variableName
    .optional()
    .describe(
      "Name of the secret, or of the server's environment variable, that holds the API key. Defaults to the provider's usual variable, then to the key the client sends.",
    ),
  connect_timeout_s: seconds(600).default(10).describe('Time to connect.'),
  first_byte_timeout_s: seconds(3600).default(600).describe('Time to the first byte of the reply.'),
  idle_timeout_s: seconds(3600).default(600).describe('Longest silence within a reply.'),
  total_timeout_s: seconds(86_400).default(3600).describe('Time for the whole call, including waits.'),
  retries: wholeNumber(0, 10).default(2).describe('Retries before the first byte.'),
  rate_limit_wait_s: z
    .number({ error: rateLimitExpected })
    .min(0, { error: rateLimitExpected })
    .max(600, { error: rateLimitExpected })
    .default(60)
    .describe(
      'Longest total wait of a call when the provider answers 429, 503 or 529 with Retry-After. Then the reply is passed on; 0 passes it on at once.',
    ),
  breaker: breaker.prefault({}).describe('Circuit breaker of the provider and of each of its models.'),
  models: z
    .record(text(1, 200), text(1, 200))
    .default({})
    .describe('The model behind each name, where this provider uses other names, such as `{ my-deployment: gpt-4o }`.'),
  routes: z
    .record(routeName, route)
    .default({})
    .describe(
      'Further routes that agents may call, with their prices, such as `{ "POST /images/generations": { per_image_usd: 0.04 } }`. The prices are added up; see docs/costs.md.',
    ),
  price: price
    .optional()
    .describe('Price of its models that have no other one, such as `{ input_per_mtok: 1, output_per_mtok: 2 }`.'),
  fallback: z
    .array(
      z.strictObject({
        provider: text(1, 100).describe('Provider to use instead. It must use the same dialect.'),
        model: text(1, 200).describe('Model to use there. It needs a known price.'),
      }),
    )
    .max(5)
    .default([])
    .describe('Alternatives, tried in order when this provider cannot answer.'),
})

const priceList = z
  .strictObject({
    unknown: z
      .enum(['refuse', 'dearest'])
      .default('refuse')
      .describe(
        "Calls of models without a price: `refuse` them, or charge each part at the provider's highest listed price (`dearest`), as an estimate.",
      ),
    file: path
      .optional()
      .describe(
        'A newer price list, relative to this file. Defaults to the built-in one. `iron-cage prices update` writes this and the next two.',
      ),
    sha256: z
      .string()
      .regex(/^[0-9a-fA-F]{64}$/, { error: 'a SHA-256 of 64 hexadecimal digits' })
      .optional()
      .describe('Hash of that file. With another one, nothing starts.'),
    date: z.iso.date({ error: 'a day such as 2026-11-21' }).optional().describe('Day the list is of, for its age.'),
  })
  .superRefine(({ file, sha256, date }, context) => {
    const given = [file, sha256, date].filter((value) => value !== undefined)
    if (given.length === 0 || given.length === 3) return
    context.addIssue({ code: 'custom', path: ['file'], message: 'file, sha256 and date together' })
  })

const httpMethod = z.string().regex(/^[A-Z]{1,20}$/, { error: 'a method in capitals such as POST' })

const service = z.strictObject({
  base_url: baseUrl.describe('Base URL of the API.'),
  hosts: z
    .array(z.string().refine((value) => isName(value.toLowerCase()), { error: 'a host name such as api.linkedin.com' }))
    .default([])
    .describe(
      'Names under which programs call it besides the host of `base_url`. Their requests are sent to `base_url` where `agent.egress` is set.',
    ),
  intercept: z
    .boolean({ error: 'true or false' })
    .default(true)
    .describe(
      'Read what agents send to its hosts. With `false`, for clients that pin certificates, a listed host is a tunnel: no price, no circuit, no redaction.',
    ),
  redact: z
    .array(z.enum(['requests', 'replies']))
    .default([])
    .describe(
      'Redact what is sent (`requests`) and answered (`replies`), by the policy of `safety`: JSON, forms and text. Other types pass, and their calls say so.',
    ),
  methods: z.array(httpMethod).min(1).optional().describe('Methods that agents may use. Defaults to all.'),
  cost_per_call_usd: usd.prefault('0').describe('Cost of each successful live call.'),
  api_key_secret: variableName
    .optional()
    .describe(
      "Name of the secret, or of the server's environment variable, that holds the API key. Defaults to the key the agent sends.",
    ),
  breaker: breaker.prefault({}).describe('Circuit breaker of the service.'),
  fallback: z
    .strictObject({
      cache: z
        .strictObject({
          ttl_s: seconds(31_536_000).default(86_400).describe('Maximum age of a cached reply.'),
          methods: z.array(httpMethod).default(['GET', 'HEAD']).describe('Methods whose replies are cached.'),
        })
        .optional()
        .describe("Serve the last good reply to the agent's same request. Off by default."),
      placeholder: z.json().optional().describe('Reply with this JSON.'),
    })
    .prefault({})
    .describe('What to serve when the service cannot answer: the cache first, then the placeholder.'),
  timeout_s: seconds(600).default(30).describe('Time for one attempt.'),
  retries: wholeNumber(0, 10).default(2).describe('Retries.'),
})

/** The types of events that cause alerts (`alerts/wording.ts`); each channel may select some of them. */
const alertingEvents: readonly EventType[] = [
  'budget.warned',
  'budget.exhausted',
  'budget.requested',
  'model.refused',
  'loop.detected',
  'circuit.opened',
  'pii.found',
  'agent.exited',
  'agent.stopped',
  'audit.broken',
  'vault.broken',
  'secret.reload_failed',
  'secret.rolled_back',
]
const alertEvents = <const Event extends string>(events: readonly Event[]) =>
  z.array(z.enum(events)).min(1).optional().describe('Types of events to send. Defaults to all of them.')

const emailAddress = z.string().regex(/^[^\s@<>,;"]+@[^\s@<>,;"]+$/, { error: 'an e-mail address' })
const sender = <const Event extends string>(events: readonly Event[]) => ({
  from: emailAddress.describe('Sender address.'),
  smtp_url: z
    .url({ protocol: /^smtps?$/, error: 'an smtp or smtps address such as smtp://localhost:25' })
    .describe('`smtp://` (STARTTLS where offered) or `smtps://`, with user and password if the server needs them.'),
  events: alertEvents(events),
})
const webhooks = <const Event extends string>(events: readonly Event[]) =>
  z
    .array(
      z.strictObject({
        url: url
          .refine((value) => !URL.canParse(value) || !isLinkLocal(new URL(value).hostname), {
            error: 'an address that is not link-local',
          })
          .describe('Where to POST each alert (Slack-compatible JSON).'),
        secret: text(1, 1024).optional().describe('Key that signs each delivery with HMAC-SHA-256.'),
        events: alertEvents(events),
      }),
    )
    .default([])
    .describe('Alerts by webhook.')
const alerts = z.strictObject({
  email: z
    .strictObject({
      to: z
        .union([emailAddress, z.array(emailAddress).min(1)], { error: 'an e-mail address or a list of them' })
        .transform((to) => [to].flat())
        .describe('One recipient or a list of them.'),
      ...sender(alertingEvents),
    })
    .optional()
    .describe('Alerts by e-mail. Off by default.'),
  webhooks: webhooks(alertingEvents),
})

/** The causes of a Control Panel's alerts (`panel/alerts.ts`). */
export const PANEL_ALERTS = [
  'budget.warned',
  'spending.unusual',
  'lease.quarantined',
  'lease.expired',
  'request.created',
  'sign_in.failed',
  'books.broken',
] as const

/** The configuration file of a Control Panel. Its mail goes to the admins of the organization that it is about. */
export const panelFileSchema = z.strictObject({
  alerts: z
    .strictObject({
      email: z.strictObject(sender(PANEL_ALERTS)).optional().describe('Alerts by e-mail. Off by default.'),
      webhooks: webhooks(PANEL_ALERTS),
      networks: z
        .array(z.string().refine(isNetwork, { error: 'a network such as 10.0.0.0/8' }))
        .default([])
        .describe(
          'Networks in which organizations may name webhooks of their own, besides the public internet. Defaults to none.',
        ),
    })
    .prefault({})
    .describe('Alert delivery.'),
})

const WITH_ADDRESS = KNOWN_PROVIDER_NAMES.filter((name) => knownProvider(name)?.baseUrl !== undefined)
const quoted = (name: string): string => `\`${name}\``

/** Any other server that speaks a known dialect. */
const otherProvider = provider.extend({
  base_url: baseUrl
    .optional()
    .describe(`Base URL. Required, except for providers with a known one: ${WITH_ADDRESS.map(quoted).join(', ')}.`),
  dialect: z
    .enum(DIALECT_NAMES)
    .optional()
    .describe(`API dialect it speaks. Defaults to that of a known provider, else \`${DEFAULT_DIALECT}\`.`),
})

const ownProviders = Object.fromEntries(BUILT_IN.map((name) => [name, provider.prefault({})])) as Record<
  (typeof BUILT_IN)[number],
  z.ZodPrefault<typeof provider>
>

const serviceName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,39}$/, { error: 'a name of a-z, 0-9, _ and - that begins with a letter' })

const sections = z.strictObject({
  agent: agent.prefault({}).describe('The agent that `iron-cage start` runs.'),
  budget: budget.prefault({}).describe('Spending limits.'),
  safety: safety.prefault({}).describe('Detection and redaction of personal data.'),
  providers: z
    .object(ownProviders)
    .catchall(otherProvider)
    .superRefine((providers: Readonly<Record<string, ProviderConfig>>, context) => {
      const speech = (name: string) => dialectNameOf(name, providers[name]?.dialect)
      for (const [name, { fallback, base_url }] of Object.entries(providers)) {
        if (base_url === undefined && knownProvider(name)?.baseUrl === undefined) {
          context.addIssue({ code: 'custom', path: [name, 'base_url'], message: ADDRESS_EXPECTED })
        }
        for (const [index, other] of fallback.entries()) {
          if (Object.hasOwn(providers, other.provider) && speech(other.provider) === speech(name)) continue
          const message = `a provider that speaks as ${name} does, one of the configuration`
          context.addIssue({ code: 'custom', path: [name, 'fallback', index, 'provider'], message })
        }
      }
    })
    .prefault({})
    .describe(
      'LLM providers by name. `openai`, `anthropic` and `google` are built in; other known ones are added by their name alone (`groq: {}`), and any other server that speaks a known dialect under a new name.',
    ),
  prices: z
    .record(nameWithWildcard, price)
    .default({})
    .describe(
      'Prices in US dollars per million tokens, by `provider/model`, with `*` for any part of it. They override the public price list; see docs/costs.md.',
    ),
  price_list: priceList.prefault({}).describe('The public price list.'),
  services: z.record(serviceName, service).default({}).describe("Outside APIs that the agent's tools call, by name."),
  calls: z
    .strictObject({
      keep_content: z
        .boolean({ error: 'true or false' })
        .default(false)
        .describe(
          'Keep what calls say: prompt and reply, redacted and sealed under the master key, for admins. Nothing is kept while the vault is locked.',
        ),
      retention_days: wholeNumber(1, 3650).default(7).describe('Age at which kept content is deleted, in days.'),
    })
    .prefault({})
    .describe('LLM calls.'),
  alerts: alerts.prefault({}).describe('Alert delivery.'),
  server: z
    .strictObject({
      host: host.default('127.0.0.1').describe('Address to listen on. `127.0.0.1` includes `[::1]`.'),
      allow_remote: z
        .boolean({ error: 'true or false' })
        .default(false)
        .describe('Allow a host that other machines can reach. Requires at least one user.'),
      port: wholeNumber(0, 65_535).default(8080).describe('Port. 0 picks a free one.'),
      allowed_hosts: z
        .array(text(1, 260))
        .default([])
        .describe('Additional `Host` header values to accept, with port.'),
      tls: z
        .strictObject({
          cert: path.describe('PEM file with the certificate and its chain. Read again when it changes.'),
          key: path.describe('PEM file with its key.'),
        })
        .optional()
        .describe(
          'Encrypts what other machines send. `127.0.0.1` and `[::1]` stay without encryption, for agents and commands on this machine.',
        ),
      cors_origins: z
        .array(
          url.refine((value) => URL.canParse(value) && new URL(value).origin === value, {
            error: 'an origin such as https://example.com, without a path',
          }),
        )
        .default([])
        .describe('Origins whose pages may call the API from a browser, with a token.'),
      max_body_bytes: wholeNumber(1024, 1_073_741_824)
        .default(33_554_432)
        .describe('Maximum size of a request body, in bytes.'),
    })
    .prefault({})
    .describe('The HTTP server: dashboard, API and gateway.'),
  network: z
    .strictObject({
      https_proxy: proxyUrl.describe('Proxy for providers and services at https addresses. Defaults to `HTTPS_PROXY`.'),
      http_proxy: proxyUrl.describe('Proxy for those at http addresses. Defaults to `HTTP_PROXY`.'),
      no_proxy: text(0, 8192)
        .default('localhost,127.0.0.1,::1')
        .describe('Hosts that are reached directly. Defaults to `NO_PROXY` and this machine.'),
      ca_file: path.optional().describe('PEM file with further certificates to trust. Defaults to `SSL_CERT_FILE`.'),
    })
    .prefault({})
    .describe('How providers and services are reached.'),
  otel: z
    .strictObject({
      endpoint: baseUrl
        .optional()
        .describe(
          'Collector of OpenTelemetry that traces and metrics are sent to (OTLP over HTTP), without `/v1/traces`. Defaults to `OTEL_EXPORTER_OTLP_ENDPOINT`; off without either.',
        ),
      headers: z
        .record(z.string().regex(/^[A-Za-z0-9-]{1,100}$/, { error: 'the name of a header' }), text(1, 8192))
        .default({})
        .describe('Headers to send with them, such as `authorization`. Defaults to `OTEL_EXPORTER_OTLP_HEADERS`.'),
      service_name: text(1, 200).default('iron-cage').describe('The `service.name`. Defaults to `OTEL_SERVICE_NAME`.'),
    })
    .prefault({})
    .describe('Traces and metrics for OpenTelemetry, without the content of calls.'),
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error'])
        .default('info')
        .describe('Lowest level that is logged and shown.'),
      format: z.enum(['text', 'json']).default('text').describe('How `start` and `serve` print events.'),
      dir: path.default('./iron_logs').describe('Directory of the log files.'),
      max_agent_output_bytes: wholeNumber(0, 1_099_511_627_776)
        .default(67_108_864)
        .describe(
          'Output of one agent that is logged per day, in bytes, beyond the lines that are shown. Lines above it are counted; the last lines before an exit are always kept.',
        ),
      retention_days: wholeNumber(1, 3650)
        .default(7)
        .describe('Age at which log files and events are deleted, in days.'),
    })
    .prefault({})
    .describe('Logging.'),
  db: z
    .strictObject({
      path: path.default('./iron_state.db').describe('Database file.'),
      synchronous: z
        .enum(['normal', 'full'])
        .default('normal')
        .describe('`normal` survives a killed process; `full` also survives a power failure.'),
    })
    .prefault({})
    .describe('The SQLite database.'),
})

export const configSchema = sections.superRefine(({ budget: { on_warn }, providers }, context) => {
  const [provider = ''] = on_warn?.model.split('/', 1) ?? []
  if (!on_warn || Object.hasOwn(providers, provider)) return
  context.addIssue({
    code: 'custom',
    path: ['budget', 'on_warn', 'model'],
    message: 'a model of a configured provider',
  })
})

export type Config = z.output<typeof configSchema>
export type ServiceConfig = Config['services'][string]
export type ProviderConfig = z.output<typeof provider> & Partial<z.output<typeof otherProvider>>
export type BreakerConfig = z.output<typeof breaker>
export type AlertsConfig = Config['alerts']
export type PanelAlertsConfig = z.output<typeof panelFileSchema>['alerts']
