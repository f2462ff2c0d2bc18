/**
 * The documentation of every route, for people and for `openapi.ts`, which takes method, path and role from the router
 * and rejects a route that is missing here. The schemas are those that the routes parse with.
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

export interface RouteDoc {
  /** One sentence. */
  summary: string
  query?: z.ZodType
  body?: z.ZodType
  /** The JSON fields of the response; null for an empty one. */
  answer: Readonly<Record<string, string>> | null
  /** (Default: 200, or 204 for an empty response.) */
  status?: 201
  /** Other content types of the response. */
  types?: readonly string[]
}

export interface Resource {
  description: string
  /** By "METHOD /path", as in the router. */
  routes: Readonly<Record<string, RouteDoc>>
}

/** Second paths of routes, for clients that use these. */
export const ALIASES: Readonly<Record<string, string>> = { '/agent': '/api/agents', '/secrets': '/api/secrets' }

const BUDGET = 'limit_usd, spent_usd, held_usd, remaining_usd, used_percent, warned.'

const STATUS = {
  agent: 'The agent.',
  figures: 'Its figures, as the dashboard shows them.',
  budget: `The agent's own budget: ${BUDGET}`,
  budgets: 'Every budget that its calls count toward, its own first, each with its scope.',
  period: 'Current budget period, {starts_at, ends_at}; null if limits never reset.',
} satisfies Record<keyof AgentStatus, string>

const BUDGETS = {
  server: 'Budget of all agents together: limit_usd, spent_usd, held_usd, remaining_usd; null without a limit.',
  run: 'Limit of each run: limit_usd; null without a limit.',
  period: "Current period of the server's limit, {starts_at, ends_at}; null if it never resets.",
} satisfies Record<keyof ConfiguredBudgets, string>

const TOKENS = {
  access_token: 'For Authorization: Bearer.',
  refresh_token: 'For POST /api/auth/refresh, once.',
  expires_in: 'Seconds until the access token expires.',
  role: 'Role of the user.',
  name: 'Name of the user.',
} satisfies Record<keyof SessionTokens, string>

const SECRET = {
  id: 'Id, "secret-…".',
  name: 'Name, and name of the environment variable in agents.',
  environment: 'Environment whose agents get it.',
  masked: 'First and last characters of the value.',
  version: 'Number of the current value.',
  created_at: 'ISO 8601, UTC.',
  updated_at: 'ISO 8601, UTC.',
  rotated_at: 'ISO 8601, UTC, or null.',
  deleted_at: 'ISO 8601, UTC, or null.',
} satisfies Record<keyof SecretView, string>

const TOKEN = {
  id: 'Id, "token-…".',
  name: 'Name.',
  role: 'Role.',
  agent_id: 'Agent that its calls count as; null for other roles.',
  created_at: 'ISO 8601, UTC.',
  created_by: 'Name of its creator.',
  expires_at: 'ISO 8601, UTC; null: never.',
  revoked_at: 'ISO 8601, UTC, or null.',
  token: 'Value. It is returned only here.',
} satisfies Record<keyof ApiToken | 'token', string>

const COSTS = 'Totals of the ledger: spent_usd, held_usd, rows, by_agent, by_model, by_service, by_hour.'

const USER = { id: 'Id.', username: 'Name.', role: 'admin or viewer.', created_at: 'ISO 8601, UTC.' }

const CIRCUIT = { name: 'Name.', state: 'closed, open or half_open.' }

export const RESOURCES: Readonly<Record<string, Resource>> = {
  Agents: {
    description: 'Supervised programs: status, budget, and control.',
    routes: {
      'GET /api/agents': { summary: 'Lists all agents.', answer: { agents: 'Agents.' } },
      'GET /api/agents/past': {
        summary:
          'Lists earlier agents that GET /api/agents no longer includes, newest first. Their other routes still work.',
        query: PAST_AGENTS,
        answer: {
          agents:
            'Each with id, name, script, state, started_at. The last started_at is the `before` of the next page.',
        },
      },
      'POST /api/agents': {
        summary:
          'Starts a script as an agent. Also accepts every key of the configuration section `agent`; the defaults come from the server.',
        body: NEW_AGENT,
        answer: STATUS,
        status: 201,
      },
      'GET /api/agents/:id': { summary: 'Returns an agent with its figures and budgets.', answer: STATUS },
      'GET /api/agents/:id/status': { summary: 'Same as GET /api/agents/{id}.', answer: STATUS },
      'GET /api/agents/:id/metrics': {
        summary: "Returns an agent's figures.",
        answer: {
          progress: 'Such as "23 / 100 leads (23%)".',
          spent: 'Such as "$5.29 / $50.00".',
          used_percent: 'Percentage of the limit that is spent, 0 to 100.',
          projection_usd: 'Projected total cost, or null.',
          budget_status: 'under_budget, approaching_limit or exhausted.',
          throughput: 'Such as "212 leads/hour".',
          uptime_ms: 'Time its process has been running, in ms.',
          saved_usd: 'Amount saved by blocked and downgraded calls.',
        },
      },
      'POST /api/agents/:id/stop': { summary: 'Stops an agent.', answer: STATUS },
      'POST /api/agents/:id/pause': {
        summary: 'Pauses an agent. Its calls are refused until it resumes.',
        answer: STATUS,
      },
      'POST /api/agents/:id/resume': { summary: 'Resumes a paused agent.', answer: STATUS },
      'POST /api/agents/:id/restart': { summary: 'Restarts an agent under the same id.', answer: STATUS },
      'PATCH /api/agents/:id/budget': {
        summary: "Sets or raises an agent's limit, effective from the next call.",
        body: BUDGET_CHANGE,
        answer: STATUS,
      },
      'GET /api/agents/:id/report': {
        summary: 'Returns a report on an agent as JSON, as a printable document, or its calls as CSV.',
        query: REPORT_FORMAT,
        answer: { ...STATUS, costs: COSTS, circuits: 'Every circuit.' },
        types: ['text/html', 'text/csv'],
      },
    },
  },
  Budgets: {
    description: "Limits in addition to the agents' own. Every call must fit into all of them.",
    routes: {
      'GET /api/budgets': { summary: "Returns the server's budget and the limit of each run.", answer: BUDGETS },
      'PATCH /api/budgets/:scope': {
        summary:
          'Sets or raises the limit of the server (`server`) or of each run (`run`), effective from the next call.',
        body: BUDGET_CHANGE,
        answer: BUDGETS,
      },
    },
  },
  Calls: {
    description: 'Rows of the ledger: the amount reserved for each call, and its cost.',
    routes: {
      'GET /api/agents/:id/calls': {
        summary: "Lists an agent's calls, newest first.",
        query: CALLS,
        answer: { calls: 'Rows, with held_usd and cost_usd. The id of the last one is the `before` of the next page.' },
      },
      'POST /api/agents/:id/calls/:call/correct': {
        summary: 'Corrects the cost of a call with an additional row.',
        body: CORRECTION,
        answer: { ...STATUS, correction_id: 'Id of the row.' },
      },
      'POST /api/agents/:id/calls/:call/resolve': {
        summary: 'Resolves a call that a killed server left open.',
        body: RESOLUTION,
        answer: STATUS,
      },
      'GET /api/report': {
        summary: 'Returns the total cost of all agents.',
        answer: { server_time: 'ISO 8601, UTC.', costs: COSTS },
      },
    },
  },
  State: {
    description: 'The current state, and the events that led to it.',
    routes: {
      'GET /api/snapshot': {
        summary: 'Returns everything that the dashboard shows.',
        answer: {
          seq: 'Number of the last event it includes.',
          server_time: 'ISO 8601, UTC.',
          snapshot: 'The snapshot.',
        },
      },
      'GET /api/events': {
        summary: 'Lists events, newest first; with `after`, oldest first.',
        query: EVENTS,
        answer: { events: 'Events.', next: '`before` or `after` of the next page; null at the end.' },
      },
      'GET /api/pii/incidents': {
        summary: 'Lists incidents, newest first, with a redacted preview.',
        query: INCIDENTS,
        answer: { incidents: 'Incidents.' },
      },
      'GET /api/pii/incidents/:id/original': {
        summary: 'Returns the detected value, if it was kept. The request is written to the audit log.',
        answer: { id: 'Id of the incident.', original: 'Detected value.' },
      },
      'GET /metrics': {
        summary: 'Serves metrics in the Prometheus text format.',
        answer: {},
        types: ['text/plain'],
      },
    },
  },
  Circuits: {
    description: 'Circuit breakers of providers and services.',
    routes: {
      'GET /api/circuits': { summary: 'Lists all circuits.', answer: { circuits: 'Circuits.' } },
      'POST /api/circuits/:name/reset': { summary: 'Closes a circuit.', answer: CIRCUIT },
      'POST /api/circuits/:name/open': { summary: 'Opens a circuit until it is reset.', answer: CIRCUIT },
    },
  },
  Models: {
    description: 'Which models respect the limits of their calls.',
    routes: {
      'GET /api/models': {
        summary:
          "Lists what is known about models. Of the vendors' own servers, only models that are refused or cost more are listed.",
        answer: {
          models:
            'Each with name, state (new, trusted or refused), since, factor of its reservations, and overrun or null.',
        },
      },
      'POST /api/models/:name/trust': {
        summary: 'Trusts "provider/model" or all models of a provider. A refused model can be called again.',
        answer: {
          name: 'Name.',
          state: 'trusted.',
          since: 'ISO 8601 UTC.',
          factor: 'Factor of later reservations.',
          overrun: 'Null.',
        },
      },
    },
  },
  Alerts: {
    description: 'Events that need attention, on the dashboard and by e-mail and webhook.',
    routes: {
      'GET /api/alerts': { summary: 'Lists alerts.', answer: { alerts: 'Alerts, each with its deliveries.' } },
      'POST /api/alerts/test': {
        summary: 'Raises a test alert.',
        answer: { alert_id: 'Its id.', channels: 'Channels it is sent to.' },
        status: 201,
      },
      'POST /api/alerts/:id/ack': { summary: 'Acknowledges an alert.', answer: null },
      'POST /api/alerts/:id/resend': {
        summary: 'Retries failed deliveries.',
        answer: { resent: 'Number of deliveries.' },
      },
    },
  },
  Secrets: {
    description:
      'The secrets vault. Users see masked values. A run token gets the values of its own environment, except those its agent is shielded from.',
    routes: {
      'GET /api/secrets': {
        summary: 'Lists masked secrets; for an agent, only its own.',
        query: SECRET_LIST,
        answer: { secrets: 'Secrets.', vault: 'Whether the vault is open, and what to do if not.' },
      },
      'POST /api/secrets': { summary: 'Adds a secret.', body: NEW_SECRET, answer: SECRET, status: 201 },
      'GET /api/secrets/audit': {
        summary: 'Lists accesses to secrets and changes of them, newest first.',
        query: SECRET_AUDIT,
        answer: { entries: 'Entries.', next: '`before` of the next page; null at the end.' },
      },
      'GET /api/secrets/:id': {
        summary: 'Returns a secret: masked, or with its value for agents and for admins with `reveal`.',
        query: SECRET_REVEAL,
        answer: { ...SECRET, value: 'Value, if revealed.' },
      },
      'PUT /api/secrets/:id': { summary: 'Changes the value of a secret.', body: NEW_VALUE, answer: SECRET },
      'POST /api/secrets/:id/roll-back': { summary: 'Restores the previous value of a secret.', answer: SECRET },
      'POST /api/secrets/:id/restore': { summary: 'Restores a deleted secret.', answer: SECRET },
      'DELETE /api/secrets/:id': { summary: 'Deletes a secret. It can be restored.', answer: null },
    },
  },
  Access: {
    description: 'Sessions, users and API tokens.',
    routes: {
      'POST /api/auth/exchange': {
        summary: 'Opens a session with a one-time code from a sign-in link.',
        body: EXCHANGE,
        answer: TOKENS,
      },
      'POST /api/auth/login': { summary: 'Opens a session with user name and password.', body: LOGIN, answer: TOKENS },
      'POST /api/auth/refresh': { summary: 'Renews the tokens of a session.', body: REFRESH, answer: TOKENS },
      'POST /api/auth/logout': { summary: 'Ends the current session.', answer: null },
      'GET /api/auth/me': { summary: 'Returns the identity of the caller.', answer: { role: 'Role.', name: 'Name.' } },
      'POST /api/auth/code': {
        summary: 'Creates a one-time code for a sign-in link.',
        answer: { code: 'For POST /api/auth/exchange, once.' },
      },
      'POST /api/auth/ws-ticket': {
        summary: 'Creates a ticket for the WebSocket.',
        answer: { ticket: 'For GET /ws, once, within 30 s.' },
      },
      'GET /api/tokens': { summary: 'Lists API tokens, without their values.', answer: { tokens: 'Tokens.' } },
      'POST /api/tokens': {
        summary: 'Creates an API token. With the role agent, it has its own agent and budget.',
        body: NEW_TOKEN,
        answer: TOKEN,
        status: 201,
      },
      'POST /api/tokens/:id/rotate': {
        summary: 'Replaces a token. The old one stays valid for the overlap.',
        body: ROTATION,
        answer: TOKEN,
        status: 201,
      },
      'DELETE /api/tokens/:id': { summary: 'Revokes a token.', answer: null },
      'GET /api/users': { summary: 'Lists users.', answer: { users: 'Users.' } },
      'POST /api/users': { summary: 'Creates a user.', body: NEW_USER, answer: USER, status: 201 },
      'PATCH /api/users/:id': {
        summary: "Changes a user's role, password or both, and ends the user's sessions.",
        body: USER_CHANGE,
        answer: USER,
      },
      'DELETE /api/users/:id': { summary: 'Deletes a user.', answer: null },
    },
  },
  Audit: {
    description: 'The audit log.',
    routes: {
      'GET /api/audit': {
        summary: 'Lists rows of the audit log, newest first; with `after`, oldest first.',
        query: AUDIT_PAGE,
        answer: { rows: 'Rows.', next: '`before` or `after` of the next page; null at the end.' },
      },
      'GET /api/audit/verify': {
        summary: 'Verifies the hash chain.',
        answer: { ok: 'True if no row was changed.' },
      },
      'GET /api/audit/export': {
        summary: 'Exports the audit log, one JSON row per line.',
        answer: {},
        types: ['application/jsonl'],
      },
    },
  },
  'Own run': {
    description:
      'Routes for the SDK inside an agent, with the run token in IRON_CAGE_TOKEN or an API token with the role agent.',
    routes: {
      'GET /api/run': {
        summary: 'Returns the identity and budget of the agent.',
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
        summary: 'Returns the figures of the agent.',
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
        summary: 'Begins a part of the work with its own token and, optionally, its own limit.',
        body: PART_BEGIN,
        answer: {
          agent_id: 'Id of the agent.',
          run_id: 'Id of the part.',
          token: 'Its run token.',
          gateway: 'Path for its calls.',
        },
      },
      'POST /api/run/end': {
        summary: 'Ends a part of the work with its token; with an API token, the whole run.',
        body: PART_END,
        answer: null,
      },
      'POST /api/run/services/:name/begin': {
        summary: 'Requests permission to call a service. Refused while its circuit is open.',
        body: CIRCUIT_BEGIN,
        answer: { permit: 'Permit for the matching end request.' },
      },
      'POST /api/run/services/:name/end': {
        summary: 'Reports the outcome of a call to a service.',
        body: CIRCUIT_END,
        answer: null,
      },
      'GET /api/run/secrets': {
        summary: 'Returns the secrets of the environment to a supervised agent.',
        answer: { revision: 'Revision to acknowledge.', secrets: 'Values by name.' },
      },
      'POST /api/run/secrets/ack': {
        summary: 'Acknowledges a revision of the secrets; with revision null, registers the process for SIGUSR1.',
        body: ACKNOWLEDGEMENT,
        answer: null,
      },
      'POST /api/run/progress': { summary: 'Reports progress.', body: PROGRESS, answer: null },
      'POST /api/run/outcomes': { summary: 'Reports how a unit of work ended.', body: OUTCOME, answer: null },
      'GET /api/run/checkpoint': {
        summary: 'Returns the last checkpoint.',
        answer: { version: 'Number of the checkpoint.', data: 'Data of the checkpoint.' },
      },
      'PUT /api/run/checkpoint': {
        summary: 'Stores a checkpoint for the next run.',
        body: CHECKPOINT,
        answer: { version: 'Number of the checkpoint.' },
      },
      'POST /api/run/charges': {
        summary: 'Charges a cost that did not pass through the gateway.',
        body: CHARGE,
        answer: { budget: BUDGET },
      },
      'POST /api/run/scan': {
        summary: 'Detects personal data in a text.',
        body: SCAN,
        answer: { redacted: 'Redacted text.', findings: 'Each with type, start, end and risk.' },
      },
      'POST /api/run/events': { summary: 'Adds a line to the event log.', body: EVENT, answer: null },
    },
  },
  Server: {
    description: 'The server itself.',
    routes: {
      'GET /api/health': {
        summary: 'Returns the health of the server; 503 if it is degraded.',
        answer: { status: 'ok or degraded.', version: 'Version of the server.' },
      },
      'GET /api/version': { summary: 'Returns the version.', answer: { version: 'Version of the server.' } },
      'GET /api/openapi.json': {
        summary: 'Returns the OpenAPI document.',
        answer: { openapi: 'Version of the format.' },
      },
    },
  },
}

/** What this port serves besides the router's paths, as text. */
export const NON_REST_ENDPOINTS: Readonly<Record<string, string>> = {
  Gateway:
    "The provider's own API and error shape, for an agent's clients: /gateway/{run}/openai/v1/…, /gateway/{run}/anthropic/…, /gateway/{run}/services/{name}/…, where {run} is the run's id (for its own processes) or its token. With a run token or an API token as bearer token or x-api-key: /gateway/openai/v1/… and /gateway/anthropic/…. Replies have the headers x-iron-cage-call-id, x-iron-cage-cost-usd, x-iron-cage-remaining-usd and x-iron-cage-redactions. Refusals: 402 budget_exceeded, 429 budget_held, 403 price_unknown, 422 pii_blocked, 503 circuit_open, vault_locked or agent_paused.",
  'Live view':
    'WebSocket GET /ws?ticket=&after=, with a ticket from POST /api/auth/ws-ticket. Frames are JSON: {"type":"snapshot","server_time","seq","data"} first, or the missed events if `after` is recent enough; then {"type":"events","server_time","events":[…]} ordered by seq. Viewers send nothing.',
}
