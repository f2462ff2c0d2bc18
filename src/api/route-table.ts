/**
 * What every route is for, for people and for `openapi.ts`, which takes method, path and role from the router and
 * refuses a route that is not told here. The schemas are those that the routes read with.
 */
import type * as z from 'zod'
import type { ApiToken } from '../access/api-tokens.ts'
import type { SessionTokens } from '../access/sessions.ts'
import type { SecretView } from '../vault/secret.ts'
import { NEW_AGENT } from './agent-control.ts'
import { type AgentStatus, PAST_AGENTS } from './agents.ts'
import { AUDIT_PAGE } from './audit.ts'
import { EXCHANGE, LOGIN, REFRESH } from './auth.ts'
import { BUDGET_CHANGE, type ConfiguredBudgets } from './budgets.ts'
import { CALLS, CORRECTION, RESOLUTION } from './calls.ts'
import { REPORT_FORMAT } from './report.ts'
import { CHARGE, CHECKPOINT, EVENT, OUTCOME, PROGRESS, SCAN } from './run.ts'
import { PART_BEGIN, PART_END } from './run-parts.ts'
import { ACKNOWLEDGEMENT } from './run-secrets.ts'
import { CIRCUIT_BEGIN, CIRCUIT_END } from './run-services.ts'
import { NEW_SECRET, NEW_VALUE, SECRET_AUDIT, SECRET_LIST, SECRET_REVEAL } from './secrets.ts'
import { EVENTS, INCIDENTS } from './state.ts'
import { NEW_TOKEN, ROTATION } from './tokens.ts'
import { NEW_USER, USER_CHANGE } from './users.ts'

export interface ToldRoute {
  /** One sentence. */
  summary: string
  query?: z.ZodType
  body?: z.ZodType
  /** What is in the JSON of the answer, by field; null: nothing is. */
  answer: Readonly<Record<string, string>> | null
  /** (Default: 200, or 204 where nothing is answered.) */
  status?: 201
  /** Other types that it may answer with. */
  types?: readonly string[]
}

export interface Resource {
  description: string
  /** By "METHOD /path", as the router has it. */
  routes: Readonly<Record<string, ToldRoute>>
}

/** Routes that are there a second time, for clients that know them by this path. */
export const SAME_AS: Readonly<Record<string, string>> = { '/agent': '/api/agents', '/secrets': '/api/secrets' }

const BUDGET = 'limit_usd, spent_usd, held_usd, remaining_usd, used_percent, warned.'

const STATUS = {
  agent: 'The agent as it is.',
  figures: 'Its figures, as the dashboard shows them.',
  budget: `Its own: ${BUDGET}`,
  budgets: 'Every budget that pays for its calls, its own first, each with its scope.',
  period: 'The day or month that limits are for, {starts_at, ends_at}; null: they are for ever.',
} satisfies Record<keyof AgentStatus, string>

const BUDGETS = {
  server: 'What all agents together may spend: limit_usd, spent_usd, held_usd, remaining_usd; null without a limit.',
  run: 'What each run may spend: limit_usd; null without a limit.',
  period: "The day or month that the server's limit is for, {starts_at, ends_at}; null: it is for ever.",
} satisfies Record<keyof ConfiguredBudgets, string>

const TOKENS = {
  access_token: 'For Authorization: Bearer.',
  refresh_token: 'For POST /api/auth/refresh, once.',
  expires_in: 'Seconds until the access token ends.',
  role: 'Role of the person.',
  name: 'Name of the person.',
} satisfies Record<keyof SessionTokens, string>

const SECRET = {
  id: 'Id, "secret-…".',
  name: 'Name, also that of the variable that an agent gets.',
  environment: 'The environment whose agents get it.',
  masked: 'Its first and last characters.',
  version: 'Counts its values.',
  created_at: 'ISO 8601, UTC.',
  updated_at: 'ISO 8601, UTC.',
  rotated_at: 'ISO 8601, UTC, or null.',
  deleted_at: 'ISO 8601, UTC, or null.',
} satisfies Record<keyof SecretView, string>

const TOKEN = {
  id: 'Id, "token-…".',
  name: 'Name.',
  role: 'Role.',
  agent_id: 'The agent as which it makes calls; null for other roles.',
  created_at: 'ISO 8601, UTC.',
  created_by: 'Name of who made it.',
  expires_at: 'ISO 8601, UTC; null: never.',
  revoked_at: 'ISO 8601, UTC, or null.',
  token: 'Its value. It is told here and never again.',
} satisfies Record<keyof ApiToken | 'token', string>

const COSTS = 'Sums of the ledger: spent_usd, held_usd, rows, by_agent, by_model, by_service, by_hour.'

const USER = { id: 'Id.', username: 'Name.', role: 'admin or viewer.', created_at: 'ISO 8601, UTC.' }

const CIRCUIT = { name: 'Name.', state: 'closed, open or half_open.' }

export const RESOURCES: Readonly<Record<string, Resource>> = {
  Agents: {
    description: 'Programs that are supervised: how they are, what they may spend, starting and stopping them.',
    routes: {
      'GET /api/agents': { summary: 'Lists all agents.', answer: { agents: 'Every agent as it is.' } },
      'GET /api/agents/past': {
        summary:
          'Lists agents that have made room for later ones, the latest first; their other routes answer as before.',
        query: PAST_AGENTS,
        answer: { agents: 'Each with id, name, script, state, started_at; the last started_at is the next before.' },
      },
      'POST /api/agents': {
        summary:
          "Starts a script as an agent. Beside the fields named here, what the configuration may say under agent; what is left out is as the server's configuration says.",
        body: NEW_AGENT,
        answer: STATUS,
        status: 201,
      },
      'GET /api/agents/:id': { summary: 'Shows an agent, its figures and its budgets.', answer: STATUS },
      'GET /api/agents/:id/status': { summary: 'Shows the same as GET /api/agents/{id}.', answer: STATUS },
      'GET /api/agents/:id/metrics': {
        summary: "Shows an agent's figures alone.",
        answer: {
          progress: 'Such as "23 / 100 leads (23%)".',
          spent: 'Such as "$5.29 / $50.00".',
          used_percent: 'Share of the limit that is spent, 0 to 100.',
          projection_usd: 'What the whole work will cost, or null.',
          budget_status: 'under_budget, approaching_limit or exhausted.',
          throughput: 'Such as "212 leads/hour".',
          uptime_ms: 'How long its process was there, in ms.',
          saved_usd: 'What was not spent, by blocked and downgraded calls.',
        },
      },
      'POST /api/agents/:id/stop': { summary: 'Stops an agent for good.', answer: STATUS },
      'POST /api/agents/:id/pause': { summary: 'Pauses an agent; its calls are refused meanwhile.', answer: STATUS },
      'POST /api/agents/:id/resume': { summary: 'Lets a paused agent go on.', answer: STATUS },
      'POST /api/agents/:id/restart': { summary: "Starts an agent's script anew, as the same agent.", answer: STATUS },
      'PATCH /api/agents/:id/budget': {
        summary: "Sets an agent's limit, or raises it; it holds from the next call on.",
        body: BUDGET_CHANGE,
        answer: STATUS,
      },
      'GET /api/agents/:id/report': {
        summary: 'Reports what an agent did and cost: as JSON, as a document to print, or its calls as CSV.',
        query: REPORT_FORMAT,
        answer: { ...STATUS, costs: COSTS, circuits: 'Every circuit.' },
        types: ['text/html', 'text/csv'],
      },
    },
  },
  Budgets: {
    description: "The limits that hold beside the agents' own: every call must fit into all of them.",
    routes: {
      'GET /api/budgets': { summary: "Shows the whole server's budget and the limit of each run.", answer: BUDGETS },
      'PATCH /api/budgets/:scope': {
        summary: 'Sets the limit of the server, or of each run, or raises it; it holds from the next call on.',
        body: BUDGET_CHANGE,
        answer: BUDGETS,
      },
    },
  },
  Calls: {
    description: 'The rows of the ledger: each call with what was held and what it cost.',
    routes: {
      'GET /api/agents/:id/calls': {
        summary: "Lists an agent's calls, the newest first.",
        query: CALLS,
        answer: { calls: 'Rows, with held_usd and cost_usd; the id of the last one is the next before.' },
      },
      'POST /api/agents/:id/calls/:call/correct': {
        summary: 'Corrects what a call cost, by a further row.',
        body: CORRECTION,
        answer: { ...STATUS, correction_id: 'Id of the row.' },
      },
      'POST /api/agents/:id/calls/:call/resolve': {
        summary: 'Says how a call ended that a killed server left open.',
        body: RESOLUTION,
        answer: STATUS,
      },
      'GET /api/report': {
        summary: 'Reports what all agents cost together.',
        answer: { server_time: 'ISO 8601, UTC.', costs: COSTS },
      },
    },
  },
  State: {
    description: 'What happened and how things stand.',
    routes: {
      'GET /api/snapshot': {
        summary: 'Shows everything that the dashboard shows.',
        answer: { seq: 'The last event in it.', server_time: 'ISO 8601, UTC.', snapshot: 'The snapshot.' },
      },
      'GET /api/events': {
        summary: 'Lists events, the newest first; after a number, the oldest first.',
        query: EVENTS,
        answer: { events: 'Events.', next: 'The next before, or after; null: there is none.' },
      },
      'GET /api/pii/incidents': {
        summary: 'Lists personal data that was found, the newest first, with a preview that shows none of it.',
        query: INCIDENTS,
        answer: { incidents: 'Incidents.' },
      },
      'GET /api/pii/incidents/:id/original': {
        summary: 'Shows what was found, where it was kept; that it was asked for is in the audit.',
        answer: { id: 'Id of the incident.', original: 'What was found.' },
      },
      'GET /metrics': {
        summary: 'Tells the same numbers to Prometheus, as text.',
        answer: {},
        types: ['text/plain'],
      },
    },
  },
  Circuits: {
    description: 'Circuit breakers of providers and services.',
    routes: {
      'GET /api/circuits': { summary: 'Lists all circuits.', answer: { circuits: 'Every circuit as it is.' } },
      'POST /api/circuits/:name/reset': { summary: 'Closes a circuit at once.', answer: CIRCUIT },
      'POST /api/circuits/:name/open': { summary: 'Opens a circuit by hand.', answer: CIRCUIT },
    },
  },
  Models: {
    description: 'Which models obey the limits that their calls are sent with.',
    routes: {
      'GET /api/models': {
        summary: "Lists what is known of models, but of the vendors' own servers only what is refused or dearer.",
        answer: { models: 'Name, state (new, trusted or refused), since when, factor of holds, and overrun or null.' },
      },
      'POST /api/models/:name/trust': {
        summary: 'Trusts "provider/model", or all models of a provider; one that is refused is called again.',
        answer: {
          name: 'Name.',
          state: 'trusted.',
          since: 'ISO 8601 UTC.',
          factor: 'Of later holds.',
          overrun: 'Null.',
        },
      },
    },
  },
  Alerts: {
    description: 'What needs somebody, on the dashboard and by e-mail and webhooks.',
    routes: {
      'GET /api/alerts': { summary: 'Lists alerts.', answer: { alerts: 'Alerts, each with its deliveries.' } },
      'POST /api/alerts/test': {
        summary: 'Raises an alert to see that it arrives.',
        answer: { alert_id: 'Its id.', channels: 'Where it is sent.' },
        status: 201,
      },
      'POST /api/alerts/:id/ack': { summary: 'Acknowledges an alert.', answer: null },
      'POST /api/alerts/:id/resend': {
        summary: 'Tries deliveries again that were given up.',
        answer: { resent: 'How many.' },
      },
    },
  },
  Secrets: {
    description:
      'The vault. People see values masked; a run token gets the values of its own environment, less what its agent is shielded from.',
    routes: {
      'GET /api/secrets': {
        summary: 'Lists secrets, masked; to an agent only those that it may have.',
        query: SECRET_LIST,
        answer: { secrets: 'Secrets.', vault: 'Whether the vault is open, and what to do when it is not.' },
      },
      'POST /api/secrets': { summary: 'Adds a secret.', body: NEW_SECRET, answer: SECRET, status: 201 },
      'GET /api/secrets/audit': {
        summary: 'Lists who did what with secrets, the newest first.',
        query: SECRET_AUDIT,
        answer: { entries: 'Entries.', next: 'The next before; null: there is none.' },
      },
      'GET /api/secrets/:id': {
        summary: 'Shows a secret: masked to people, with its value to an admin who asks to reveal it and to an agent.',
        query: SECRET_REVEAL,
        answer: { ...SECRET, value: 'Its value, where it is revealed.' },
      },
      'PUT /api/secrets/:id': { summary: 'Gives a secret another value.', body: NEW_VALUE, answer: SECRET },
      'POST /api/secrets/:id/roll-back': { summary: 'Gives a secret the value that it had before.', answer: SECRET },
      'POST /api/secrets/:id/restore': { summary: 'Takes a deleted secret back.', answer: SECRET },
      'DELETE /api/secrets/:id': { summary: 'Deletes a secret; it can be restored.', answer: null },
    },
  },
  Access: {
    description: 'Sessions, people and API tokens.',
    routes: {
      'POST /api/auth/exchange': {
        summary: "Opens a session with the one-time code of the terminal's link.",
        body: EXCHANGE,
        answer: TOKENS,
      },
      'POST /api/auth/login': { summary: 'Opens a session with name and password.', body: LOGIN, answer: TOKENS },
      'POST /api/auth/refresh': { summary: 'Renews the tokens of a session.', body: REFRESH, answer: TOKENS },
      'POST /api/auth/logout': { summary: 'Ends the session that asks.', answer: null },
      'GET /api/auth/me': { summary: 'Tells who asks.', answer: { role: 'Role.', name: 'Name.' } },
      'POST /api/auth/code': {
        summary: 'Makes another one-time code for the dashboard.',
        answer: { code: 'For POST /api/auth/exchange, once.' },
      },
      'POST /api/auth/ws-ticket': {
        summary: 'Makes a ticket for the WebSocket.',
        answer: { ticket: 'For GET /ws, once, within 30 s.' },
      },
      'GET /api/tokens': { summary: 'Lists API tokens, without their values.', answer: { tokens: 'Tokens.' } },
      'POST /api/tokens': {
        summary: 'Makes an API token; one of the role agent has an agent and a budget of its own.',
        body: NEW_TOKEN,
        answer: TOKEN,
        status: 201,
      },
      'POST /api/tokens/:id/rotate': {
        summary: 'Makes a token in the place of another, which works on for the overlap.',
        body: ROTATION,
        answer: TOKEN,
        status: 201,
      },
      'DELETE /api/tokens/:id': { summary: 'Revokes a token at once.', answer: null },
      'GET /api/users': { summary: 'Lists the people who may sign in.', answer: { users: 'People.' } },
      'POST /api/users': { summary: 'Lets somebody sign in.', body: NEW_USER, answer: USER, status: 201 },
      'PATCH /api/users/:id': {
        summary: "Changes a person's role or password (at least one of both), and ends the person's sessions.",
        body: USER_CHANGE,
        answer: USER,
      },
      'DELETE /api/users/:id': { summary: 'Lets somebody sign in no more.', answer: null },
    },
  },
  Audit: {
    description: 'The chain of what was done, by whom.',
    routes: {
      'GET /api/audit': {
        summary: 'Lists rows of the audit, the newest first; after a number, the oldest first.',
        query: AUDIT_PAGE,
        answer: { rows: 'Rows.', next: 'The next before, or after; null: there is none.' },
      },
      'GET /api/audit/verify': {
        summary: 'Tells whether all rows are as they were written.',
        answer: { ok: 'True when they are.' },
      },
      'GET /api/audit/export': {
        summary: 'Answers the whole audit, a row of JSON a line.',
        answer: {},
        types: ['application/jsonl'],
      },
    },
  },
  'Own run': {
    description:
      'What the SDK calls from within an agent: with the run token that the agent finds in IRON_CAGE_TOKEN, or an API token of the role agent.',
    routes: {
      'GET /api/run': {
        summary: 'Tells an agent who it is and what it may spend.',
        answer: {
          agent_id: 'Id of the agent.',
          run_id: 'Id of the run; null with an API token.',
          name: 'Name of the agent.',
          state: 'State of the agent.',
          safety_mode: 'redact, block or warn.',
          budget: BUDGET,
        },
      },
      'GET /api/run/metrics': {
        summary: 'Tells an agent its own figures.',
        answer: {
          calls: 'Counts of LLM calls.',
          spent_usd: 'US dollars.',
          pii: 'Counts of findings by type.',
          outcomes: 'Counts of units by outcome.',
          by_model: 'Calls and cost by model.',
          figures: 'Its figures, as the dashboard shows them.',
        },
      },
      'POST /api/run/begin': {
        summary: 'Begins a part of the work, with a token and, if wanted, a limit of its own.',
        body: PART_BEGIN,
        answer: {
          agent_id: 'Id of the agent.',
          run_id: 'Id of the part.',
          token: 'Its run token.',
          gateway: 'The path that its calls go to.',
        },
      },
      'POST /api/run/end': {
        summary: 'Ends a part of the work with its token; with an API token, all of it.',
        body: PART_END,
        answer: null,
      },
      'POST /api/run/services/:name/begin': {
        summary: 'Asks whether a service may be called now; refused while its circuit is open.',
        body: CIRCUIT_BEGIN,
        answer: { permit: 'To end the call with.' },
      },
      'POST /api/run/services/:name/end': {
        summary: "Says what became of a service's call.",
        body: CIRCUIT_END,
        answer: null,
      },
      'GET /api/run/secrets': {
        summary: 'Hands an agent that Iron Cage runs the secrets of its environment.',
        answer: { revision: 'To acknowledge.', secrets: 'Values by name.' },
      },
      'POST /api/run/secrets/ack': {
        summary: 'Says which secrets a process has; revision null: that it listens for SIGUSR1.',
        body: ACKNOWLEDGEMENT,
        answer: null,
      },
      'POST /api/run/progress': { summary: 'Tells how much of the work is done.', body: PROGRESS, answer: null },
      'POST /api/run/outcomes': { summary: 'Tells how a unit of the work ended.', body: OUTCOME, answer: null },
      'GET /api/run/checkpoint': {
        summary: "Answers what the agent's last run kept.",
        answer: { version: 'Counts what was kept.', data: 'What was kept.' },
      },
      'PUT /api/run/checkpoint': {
        summary: 'Keeps something for the next run.',
        body: CHECKPOINT,
        answer: { version: 'Counts what was kept.' },
      },
      'POST /api/run/charges': {
        summary: 'Charges what something outside the gateway cost.',
        body: CHARGE,
        answer: { budget: BUDGET },
      },
      'POST /api/run/scan': {
        summary: 'Finds personal data in a text.',
        body: SCAN,
        answer: { redacted: 'The text without it.', findings: 'Each with type, start, end and risk.' },
      },
      'POST /api/run/events': { summary: 'Writes a line into the event log.', body: EVENT, answer: null },
    },
  },
  Server: {
    description: 'The server itself.',
    routes: {
      'GET /api/health': {
        summary: 'Tells whether all is well; 503 when it is not.',
        answer: { status: 'ok or degraded.', version: 'Version of the server.' },
      },
      'GET /api/version': { summary: 'Tells the version.', answer: { version: 'Version of the server.' } },
      'GET /api/openapi.json': { summary: 'Answers this document.', answer: { openapi: 'Version of the format.' } },
    },
  },
}

/** What is at this port but none of the router's: told in words. */
export const BESIDE: Readonly<Record<string, string>> = {
  Gateway:
    "What an agent's clients call, in their provider's own API and error shape: /gateway/{run}/openai/v1/…, /gateway/{run}/anthropic/…, /gateway/{run}/services/{name}/…, where {run} is the run's id for its own processes, or its token. With a run token or, for clients that are not supervised, an API token as bearer or x-api-key: /gateway/openai/v1/… and /gateway/anthropic/…. Answers carry x-iron-cage-call-id, x-iron-cage-cost-usd, x-iron-cage-remaining-usd and x-iron-cage-redactions. Refusals: 402 budget_exceeded, 429 budget_held, 403 price_unknown, 422 pii_blocked, 503 circuit_open, vault_locked or agent_paused.",
  'Live view':
    'WebSocket GET /ws?ticket=&after=, with a ticket of POST /api/auth/ws-ticket. Frames are JSON: {"type":"snapshot","server_time","seq","data"} first, or the events missed when after is recent enough; then {"type":"events","server_time","events":[…]} in the order of seq. A viewer sends nothing.',
}
