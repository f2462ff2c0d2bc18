/**
 * Every error of this program, in one table: HTTP status, exit code, and what to do next.
 * Throw where the facts are known; the class writes the sentence. A code becomes a status in
 * `api/error-response.ts` (and the provider's own shape in `gateway/`) and a sentence in `cli/error-text.ts`, nowhere else.
 */
import { max, type Nanodollars, type PayingScope, showExactUsd, showUsd, subtract, toUsd, ZERO_NANOS } from './money.ts'

interface ErrorRow {
  readonly status: number
  /** The exit code of a command that fails with this error. */
  readonly exit: number
  /** What to do next. */
  readonly hint: string
  /** Whether a client may retry automatically. Sent as `x-should-retry`. */
  readonly retry?: true
}

export const ERRORS = {
  usage: { status: 400, exit: 2, hint: 'run the command with --help' },
  bad_request: { status: 400, exit: 2, hint: 'correct the request and send it again' },
  invalid_config: {
    status: 400,
    exit: 2,
    hint: 'correct the value; "iron-cage config show" shows where each one comes from',
  },
  config_untrusted: {
    status: 403,
    exit: 4,
    hint: 'read the file; then "iron-cage config trust <file>", or move it away',
  },
  invalid_amount: { status: 400, exit: 2, hint: "write dollars as 50, 50.00 or '$50' (quote the $ in a shell)" },
  unsupported_encoding: { status: 415, exit: 2, hint: 'send the body as it is, or with gzip, deflate, br or zstd' },
  body_too_large: { status: 413, exit: 2, hint: 'send a smaller body or raise server.max_body_bytes' },
  unauthorized: { status: 401, exit: 4, hint: 'open the link that "iron-cage start" printed, or send a valid token' },
  foreign_process: {
    status: 401,
    exit: 4,
    hint: 'call from the agent or a process it started; for other programs make a token with "iron-cage tokens create"',
  },
  too_many_attempts: { status: 429, exit: 4, hint: 'try again after the time in Retry-After' },
  forbidden: { status: 403, exit: 4, hint: 'use a role that allows it' },
  host_refused: {
    status: 403,
    exit: 4,
    hint: 'use the address that "iron-cage start" printed, or add the name to server.allowed_hosts',
  },
  origin_refused: {
    status: 403,
    exit: 4,
    hint: 'call from the dashboard itself, or add the origin to server.cors_origins',
  },
  proxy_auth_required: {
    status: 407,
    exit: 4,
    hint: 'use the address in HTTPS_PROXY of the agent, with its user and password',
  },
  egress_denied: { status: 403, exit: 4, hint: 'add the host to agent.egress.allow in the configuration' },
  egress_address_refused: {
    status: 403,
    exit: 4,
    hint: 'a host of a private network needs an entry with its port in agent.egress.private',
  },
  egress_host_mismatch: {
    status: 421,
    exit: 4,
    hint: 'open a connection for each host; a name that TLS encrypts (ECH) cannot be checked',
  },
  egress_protocol: {
    status: 505,
    exit: 9,
    hint: 'configure the client to use HTTP/1.1, or list its host in agent.egress.allow with intercept: false',
  },
  not_found: { status: 404, exit: 5, hint: 'list agents with "iron-cage ps"' },
  method_not_allowed: { status: 405, exit: 2, hint: 'use a method listed in the Allow header' },
  websocket_unsupported: { status: 426, exit: 2, hint: 'make the call over HTTP; streams are server-sent events' },
  conflict: { status: 409, exit: 6, hint: 'check the current state with "iron-cage status"' },
  already_running: { status: 409, exit: 6, hint: 'stop that server, or choose another --db' },
  port_taken: { status: 409, exit: 6, hint: 'choose another port with --port' },
  server_unreachable: { status: 503, exit: 7, hint: 'start one with "iron-cage serve", or set IRON_CAGE_URL' },
  budget_exceeded: {
    status: 402,
    exit: 3,
    hint: 'approve an increase on the dashboard or with "iron-cage budget add"',
  },
  budget_held: { status: 429, exit: 3, hint: 'try again when calls in flight have ended', retry: true },
  budget_unreachable: {
    status: 503,
    exit: 7,
    hint: 'check the network and the Control Panel; calls go on when it answers',
    retry: true,
  },
  panel_unreachable: {
    status: 503,
    exit: 7,
    hint: 'check the address of the Control Panel, and that it runs',
    retry: true,
  },
  identity_provider_unreachable: {
    status: 502,
    exit: 7,
    hint: 'sign in with a password, or again when the identity provider can be used',
  },
  runtime_revoked: {
    status: 403,
    exit: 4,
    hint: 'leave with "iron-cage leave --abandon", and join again with a new token',
  },
  runtime_copied: {
    status: 409,
    exit: 6,
    hint: 'stop one of the two; a copy joins as a runtime of its own with a new database (--db)',
  },
  runtime_fenced: { status: 409, exit: 6, hint: 'run one server per database; copies join as runtimes of their own' },
  price_unknown: { status: 403, exit: 9, hint: 'add the model under "prices" in the configuration' },
  price_list_refused: {
    status: 409,
    exit: 8,
    hint: 'check where the list comes from; "iron-cage prices update" pins another one',
  },
  model_refused: { status: 403, exit: 9, hint: 'check its bill, then see "iron-cage models list"' },
  pii_blocked: {
    status: 422,
    exit: 1,
    hint: 'with "redact" in safety.mode, or for the type in safety.modes, it passes redacted',
  },
  redaction_failed: { status: 502, exit: 1, hint: 'the reply was withheld; the log says why' },
  too_many_streams: {
    status: 503,
    exit: 9,
    hint: 'wait until some open streams have ended',
    retry: true,
  },
  too_many_connections: {
    status: 503,
    exit: 7,
    hint: 'close idle connections, or raise the descriptor limit ("ulimit -n")',
    retry: true,
  },
  rate_limited: {
    status: 429,
    exit: 9,
    hint: 'try again after the time in Retry-After, or raise the limit at the provider',
    retry: true,
  },
  circuit_open: { status: 503, exit: 9, hint: 'wait for the cooldown or reset the circuit on the dashboard' },
  provider_unreachable: { status: 502, exit: 9, hint: "check the provider's base_url and the network" },
  provider_timeout: {
    status: 504,
    exit: 9,
    hint: "raise the provider's timeouts in the configuration if it is only slow",
  },
  provider_reply_invalid: { status: 502, exit: 9, hint: "check that base_url points at the provider's API" },
  reply_encoding: {
    status: 502,
    exit: 9,
    hint: 'ask the service for plain replies, or leave "replies" out of its redact',
  },
  reply_too_large: { status: 502, exit: 9, hint: 'request less output in one call' },
  provider_key_missing: { status: 401, exit: 9, hint: "put the provider's key into the agent's environment" },
  loop_detected: { status: 403, exit: 6, hint: 'stop the agent, or raise budget.loops.repeats if this is intended' },
  tool_limit: { status: 403, exit: 3, hint: 'raise budget.tools in the configuration, or start a new run' },
  agent_paused: { status: 503, exit: 6, hint: 'resume the agent' },
  agent_not_running: { status: 403, exit: 6, hint: 'start the agent again' },
  script_not_found: { status: 404, exit: 127, hint: 'check the path of the script' },
  interpreter_not_found: {
    status: 404,
    exit: 127,
    hint: 'install Python 3, or choose an interpreter: --python .venv/bin/python',
  },
  start_failed: { status: 503, exit: 126, hint: 'free the resource that the system ran out of, then start it again' },
  not_executable: { status: 400, exit: 126, hint: 'make the file executable or give it a .py or .js ending' },
  sandbox_unavailable: {
    status: 409,
    exit: 126,
    hint: 'see what this machine can do with "iron-cage doctor", or choose another level with --sandbox',
  },
  invalid_strategy: { status: 400, exit: 2, hint: 'correct the files; "iron-cage strategies check" tries them all' },
  deployment_unreachable: { status: 502, exit: 7, hint: 'see how it is with "iron-cage deploy status"' },
  deployment_failed: { status: 502, exit: 9, hint: 'see what it wrote with "iron-cage deploy logs <name>"' },
  database_unusable: { status: 503, exit: 8, hint: 'check the file and the disk; choose another with --db' },
  vault_locked: {
    status: 503,
    exit: 8,
    hint: 'make a key with "iron-cage keygen --out master.key", set IRON_CAGE_MASTER_KEY_FILE=master.key and start again',
  },
  vault_broken: {
    status: 409,
    exit: 8,
    hint: 'keep a copy of the database, then set the secret again or restore a backup',
  },
  audit_broken: {
    status: 409,
    exit: 8,
    hint: 'keep a copy of the database and its .audit files, and compare it with a backup or an export',
  },
  internal: { status: 500, exit: 1, hint: 'check the log and report it' },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

export type Facts = Readonly<Record<string, string | number | boolean | null | undefined>>

/** The base of every error that has a code. `message` may be shown to anyone; `cause` is for the log only. */
export class CageError extends Error {
  override readonly name: string = 'CageError'
  readonly code: ErrorCode
  readonly facts: Facts
  readonly hint: string
  /** Seconds for a `Retry-After` header. */
  readonly retryAfterS?: number

  constructor(
    code: ErrorCode,
    message: string,
    options: { facts?: Facts; hint?: string; cause?: unknown; retryAfterS?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.facts = options.facts ?? {}
    this.hint = options.hint ?? ERRORS[code].hint
    if (options.retryAfterS !== undefined) this.retryAfterS = options.retryAfterS
  }

  get row(): ErrorRow {
    return ERRORS[this.code]
  }

  /** Returns the same error with every text in it mapped, for its recipient. */
  withTexts(change: (text: string) => string): CageError {
    const facts = Object.entries(this.facts).map(([name, value]) => [
      name,
      typeof value === 'string' ? change(value) : value,
    ])
    const { hint, cause, retryAfterS } = this
    return new CageError(this.code, change(this.message), {
      facts: Object.fromEntries(facts) as Facts,
      hint: change(hint),
      cause,
      retryAfterS,
    })
  }
}

export class BudgetExceededError extends CageError {
  override readonly name = 'BudgetExceededError'
  /** `budget`: the one that refused; `until`: end of its period, ISO 8601. */
  constructor(facts: {
    budget: PayingScope
    agentId: string
    limit: Nanodollars
    spent: Nanodollars
    needed: Nanodollars
    until: string | null
  }) {
    const left = max(ZERO_NANOS, subtract(facts.limit, facts.spent))
    const whose = {
      part: 'this part of its work has',
      agent: 'has',
      run: 'its run has',
      server: 'the server has',
      shared: 'the shared budget has',
    }[facts.budget]
    const until = facts.until === null ? '' : ` until ${facts.until}`
    super(
      'budget_exceeded',
      `${facts.agentId} needs up to ${showUsd(toUsd(facts.needed))} but ${whose} ${showUsd(toUsd(left))} of ${showUsd(toUsd(facts.limit))} left${until}`,
      {
        facts: {
          agent_id: facts.agentId,
          budget: facts.budget,
          limit_usd: toUsd(facts.limit),
          spent_usd: toUsd(facts.spent),
          needed_usd: toUsd(facts.needed),
          until: facts.until,
        },
        hint: raisingHint(facts.budget, facts.agentId),
      },
    )
  }
}

/** How to raise the budget that refused. */
function raisingHint(budget: PayingScope, agentId: string): string {
  const command = (whose: string) => `"iron-cage budget add ${whose} <usd>"`
  return {
    part: 'give this part of the work a larger budget',
    agent: `approve an increase on the dashboard or with ${command(agentId)}`,
    run: `restart the agent, which begins a new run, or raise the limit of every run with ${command('--run')}`,
    server: `raise the limit of the whole server on the dashboard or with ${command('--server')}`,
    shared: 'ask an admin of the Control Panel to raise it: "iron-cage budget add --org <usd>"',
  }[budget]
}

const HELD_OF = {
  part: "this part's budget",
  agent: 'its budget',
  run: "its run's budget",
  server: "the server's budget",
  shared: 'the shared budget',
} as const satisfies Record<PayingScope, string>

export class BudgetHeldError extends CageError {
  override readonly name = 'BudgetHeldError'
  constructor(facts: { budget: PayingScope; agentId: string; needed: Nanodollars; held: Nanodollars }) {
    const [isShared, held] = [facts.budget === 'shared', showUsd(toUsd(facts.held))]
    super(
      'budget_held',
      `${facts.agentId} needs up to ${showUsd(toUsd(facts.needed))} while ${isShared ? 'machines' : 'running calls'} hold ${held} of ${HELD_OF[facts.budget]}`,
      {
        // A machine does not know which of the others are lost.
        hint: isShared
          ? `try again when their calls have ended; what a lost machine holds, an admin resolves: "iron-cage runtimes list"`
          : undefined,
        facts: {
          agent_id: facts.agentId,
          budget: facts.budget,
          needed_usd: toUsd(facts.needed),
          held_usd: toUsd(facts.held),
        },
        retryAfterS: 1,
      },
    )
  }
}

/** More was entered as spent of a lease than was lent: a slip, unless the person confirms it. */
export class AboveLentError extends CageError {
  override readonly name = 'AboveLentError'
  constructor({ leaseId, lent, spent }: { leaseId: string; lent: Nanodollars; spent: Nanodollars }) {
    super(
      'conflict',
      `lease ${leaseId} was lent ${showExactUsd(toUsd(lent))}, which is less than ${showExactUsd(toUsd(spent))}`,
      {
        facts: { lease_id: leaseId, lent_usd: toUsd(lent), spent_usd: toUsd(spent) },
        hint: 'correct the amount; if its calls really cost more than was lent, use --above-lent, or check the box of the dialog',
      },
    )
  }
}

export class PriceUnknownError extends CageError {
  override readonly name = 'PriceUnknownError'
  constructor(provider: string, model: string, hint?: string) {
    super('price_unknown', `no price is known for "${model}" of ${provider}, so the call was not sent`, {
      facts: { provider, model, field: 'model' },
      hint: hint ?? `add "${provider}/${model}" under "prices" in the configuration`,
    })
  }
}

export class CircuitOpenError extends CageError {
  override readonly name = 'CircuitOpenError'
  constructor(circuit: string, retryAfterS: number) {
    super('circuit_open', `the circuit of ${circuit} is open for another ${retryAfterS} s`, {
      facts: { circuit },
      retryAfterS,
    })
  }
}

export class PiiBlockedError extends CageError {
  override readonly name = 'PiiBlockedError'
  constructor(types: readonly string[], what: 'reply' | 'request' = 'reply') {
    super('pii_blocked', `the ${what} held personal data (${types.join(', ')}) and was blocked`, {
      facts: { types: types.join(',') },
      hint: what === 'reply' ? undefined : 'nothing was sent, as safety.scope has "requests"',
    })
  }
}

/** Converts anything thrown to a CageError; an unknown error becomes `internal` and keeps its cause for the log. */
export function asCageError(error: unknown): CageError {
  if (error instanceof CageError) return error
  return new CageError('internal', 'something went wrong inside Iron Cage', { cause: error })
}
