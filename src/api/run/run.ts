/** The routes that a running agent's SDK calls, with its run token. */

import { setImmediate } from 'node:timers/promises'
import type { MiddlewareHandler } from 'hono'
import * as z from 'zod'
import type { AgentIdentity } from '../../access/roles.ts'
import { isoTime } from '../../core/clock.ts'
import { asCageError, CageError } from '../../core/errors.ts'
import type { NewEvent } from '../../core/events.ts'
import type { AgentId } from '../../core/ids.ts'
import { toUsd } from '../../core/money.ts'
import { PII_TYPES } from '../../core/pii-types.ts'
import { showLatency } from '../../core/units.ts'
import { changeTexts } from '../../dialects/texts.ts'
import { reportCharge } from '../../gateway/charging/report-charge.ts'
import { amount, MAX_BODY_BYTES, shortText } from '../../http/body.ts'
import type { Env } from '../../http/guard.ts'
import { count, json, type Route, routesOf } from '../../http/route.ts'
import { RunRate } from '../../http/run-rate.ts'
import { Findings } from '../../redaction/findings.ts'
import type { Redactor } from '../../redaction/redactor.ts'
import type { Finding } from '../../redaction/text/match.ts'
import type { Scrub } from '../../state/clean.ts'
import { shownFigures } from '../../state/figures-text.ts'
import { type AgentView, OTHER } from '../../state/snapshot.ts'
import { type BudgetStatus, budgetOf, budgetStatus, getAgent } from '../agents.ts'
import { amountsOf } from '../budgets.ts'
import { agentState, agentView, figuresView } from '../views.ts'
import { type RunDeps, runOf } from './run-of.ts'
import { otlpRoutes } from './run-otlp.ts'
import { partRoutes } from './run-parts.ts'
import { requestRoutes } from './run-requests.ts'
import { runSecretRoutes } from './run-secrets.ts'
import { serviceRoutes } from './run-services.ts'

const route = routesOf('Own run')

/** All of them, after the guard: an agent's part of the work gets refusals, and none may report too fast. */
export function runRoutes(deps: RunDeps): Route[] {
  const rate = new RunRate(deps.clock)
  const clean: Clean = (agentId, build) => cleaned(deps, agentId, build)
  const cleanText = (agentId: AgentId, text: string) => clean(agentId, (scrub) => scrub(text))
  const before: MiddlewareHandler<Env>[] = [
    async (context, next) => {
      await next()
      if (context.error) runOf(context.get('identity')).onRefused?.(asCageError(context.error))
    },
    async (context, next) => {
      if (context.req.method !== 'GET') await rate.enter(runOf(context.get('identity')).agentId)
      await next()
    },
  ]
  const routes = [
    ...ownStateRoutes(deps),
    ...partRoutes(deps),
    ...serviceRoutes(deps, cleanText),
    ...runSecretRoutes(deps.secrets.rotation),
    ...workRoutes(deps, clean),
    ...checkpointRoutes(deps, rate),
    ...textRoutes(deps, clean, rate),
    ...requestRoutes(deps, cleanText, rate),
    ...otlpRoutes(deps, rate, clean),
  ]
  return routes.map((each) => ({ ...each, before, errors: [...(each.errors ?? []), 'too_many_attempts'] }))
}

type Build<T> = (clean: Scrub, cleanOrNull: ScrubOrNull) => T
type Clean = <T>(agentId: AgentId, build: Build<T>) => T

/**
 * Texts of an agent are shown to people, so they are redacted like its output. The findings of one report are recorded
 * together.
 */
function cleaned<T>({ safety, incidents }: RunDeps, agentId: AgentId, build: Build<T>): T {
  const found = new Findings()
  const clean: Scrub = (text) => {
    const { text: safe, findings } = safety.logs.redact(text)
    found.add(findings)
    return safe
  }
  const built = build(clean, (text) => (text ? clean(text) : null))
  incidents.recordAll(found, { agentId, callId: null, place: 'log' })
  return built
}

const ownStateRoutes = (deps: RunDeps): Route[] => [
  route('GET /api/run', {
    role: 'agent',
    summary: 'Returns the identity and budget of the agent.',
    reply: () =>
      z.object({
        agent_id: z.string(),
        run_id: z.string().nullable().describe('Null with an API token.'),
        name: z.string(),
        state: agentState(),
        safety_mode: z.enum(['redact', 'block', 'warn']),
        budget: budgetStatus(),
      }),
    handle: ({ identity }) => {
      const { agentId, runId, name } = runOf(identity)
      const { state, safety_mode } = getAgent(deps.state, agentId)
      return { agent_id: agentId, run_id: runId, name, state, safety_mode, budget: budgetOfRun(deps, runOf(identity)) }
    },
  }),
  route('GET /api/run/metrics', {
    role: 'agent',
    summary: 'Returns the figures of the agent.',
    reply: () =>
      agentView()
        .pick({ calls: true, spent_usd: true, pii: true, outcomes: true, by_model: true })
        .extend({ figures: figuresView() }),
    handle: ({ identity }) => {
      const agent = getAgent(deps.state, runOf(identity).agentId)
      const { calls, spent_usd, pii, outcomes, by_model } = agent
      return { calls, spent_usd, pii, outcomes, by_model, figures: shownFigures(agent, deps.state.now()) }
    },
  }),
]

/** An agent's reports about its work. */
const workRoutes = (deps: RunDeps, clean: Clean): Route[] => [
  route('POST /api/run/progress', {
    role: 'agent',
    summary: 'Reports progress.',
    body: PROGRESS,
    maxBytes: MAX_REPORT_BYTES,
    reply: null,
    handle: ({ identity, body: { done, total = null, unit: given, label } }) => {
      const { agentId } = runOf(identity)
      deps.state.record(
        clean(agentId, (scrub, scrubOrNull) => {
          const unit = scrub(given)
          return {
            type: 'progress.updated',
            level: 'DEBUG',
            agent_id: agentId,
            message: total === null ? `${done} ${unit}` : `${done} / ${total} ${unit}`,
            data: { done, total, unit, label: scrubOrNull(label) },
          }
        }),
      )
    },
  }),
  route('POST /api/run/outcomes', {
    role: 'agent',
    summary: 'Reports how a unit of work ended.',
    body: OUTCOME,
    maxBytes: MAX_REPORT_BYTES,
    reply: null,
    handle: ({ identity, body }) => {
      const { agentId } = runOf(identity)
      deps.state.record({ ...clean(agentId, (...scrub) => outcomeEvent(body, ...scrub)), agent_id: agentId })
    },
  }),
  route('POST /api/run/charges', {
    role: 'agent',
    summary: 'Charges a cost that did not pass through the gateway.',
    body: CHARGE,
    maxBytes: MAX_REPORT_BYTES,
    reply: () => z.object({ budget: budgetStatus() }),
    errors: ['budget_exceeded', 'budget_held', 'agent_paused', 'agent_not_running'],
    handle: async ({ context, identity, body: { service: given, cost_usd: cost, ...report } }) => {
      const { agentId, runId, tokenName } = runOf(identity)
      const { service, description } = clean(agentId, (scrub) => ({
        service: serviceOf(getAgent(deps.state, agentId), scrub(given)),
        description: report.description && scrub(report.description),
      }))
      const { signal } = context.req.raw
      await reportCharge(deps, { caller: { agentId, runId, tokenName }, service, cost, description, signal })
      return { budget: budgetOfRun(deps, runOf(identity)) }
    },
  }),
]

const checkpointRoutes = ({ state, store: { checkpoints } }: RunDeps, rate: RunRate): Route[] => [
  route('GET /api/run/checkpoint', {
    role: 'agent',
    summary: 'Returns the last checkpoint.',
    reply: () => z.object({ version: count(), data: json() }),
    errors: ['not_found'],
    handle: ({ identity }) => {
      const run = runOf(identity)
      const found = checkpoints.get(run)
      if (!found) throw new CageError('not_found', `${run.name} has no checkpoint`)
      return found
    },
  }),
  route('PUT /api/run/checkpoint', {
    role: 'agent',
    summary: 'Stores a checkpoint for the next run.',
    body: CHECKPOINT,
    reply: () => z.object({ version: count() }),
    handle: async ({ context, identity, body: { data } }) => {
      const bytes = Number(context.req.header('content-length') ?? MAX_BODY_BYTES)
      await rate.enter(runOf(identity).agentId, bytes / CHECKPOINT_BYTES_PER_REPORT)
      return { version: checkpoints.put(runOf(identity), data, isoTime(state.now())) }
    },
  }),
]

const textRoutes = ({ state, safety }: RunDeps, clean: Clean, rate: RunRate): Route[] => [
  route('POST /api/run/scan', {
    role: 'agent',
    summary: 'Detects personal data in a text.',
    body: z.object({ text: z.string() }),
    reply: () =>
      z.object({
        redacted: z.string(),
        findings: z.array(
          z.object({ type: z.enum(PII_TYPES), start: count(), end: count(), risk: z.enum(['HIGH', 'MEDIUM']) }),
        ),
      }),
    handle: async ({ context, body }) => {
      const { text: redacted, findings } = await redactInTurns(safety.replies, body.text)
      const listed = await jsonInTurns(findings.map(({ type, start, end, risk }) => ({ type, start, end, risk })))
      return context.body(`{"redacted":${JSON.stringify(redacted)},"findings":${listed}}`, 200, {
        'content-type': 'application/json',
      })
    },
  }),
  route('POST /api/run/events', {
    role: 'agent',
    summary: 'Adds a line to the event log.',
    body: EVENT,
    maxBytes: MAX_REPORT_BYTES,
    reply: null,
    handle: async ({ identity, body: { level, message, data } }) => {
      const { agentId } = runOf(identity)
      await rate.enter(agentId, requireSmall(data) / EVENT_BYTES_PER_REPORT)
      state.record(
        clean(agentId, (scrub) => {
          const text = scrub(message)
          const facts = data && { facts: changeTexts(data, scrub) }
          return {
            type: 'agent.output',
            level,
            agent_id: agentId,
            message: text,
            data: { stream: 'stdout', text, ...facts },
          }
        }),
      )
    },
  }),
]

/** A list as JSON. */
async function jsonInTurns(items: readonly unknown[]): Promise<string> {
  const parts: string[] = []
  for (let at = 0; at < items.length; at += LISTED_AT_ONCE) {
    parts.push(JSON.stringify(items.slice(at, at + LISTED_AT_ONCE)).slice(1, -1))
    await setImmediate()
  }
  return `[${parts.join(',')}]`
}

type ScrubOrNull = (text: string | null | undefined) => string | null

function outcomeEvent(
  { outcome, degraded, label, unit: given, latency_ms = null, reason }: z.output<typeof OUTCOME>,
  clean: Scrub,
  cleanOrNull: ScrubOrNull,
): NewEvent {
  const unit = clean(given)
  const name = cleanOrNull(label)
  const why = cleanOrNull(reason)
  const took = latency_ms === null ? '' : ` · ${showLatency(latency_ms)}`
  return {
    type: 'unit.completed',
    level: outcome === 'failed' ? 'ERROR' : 'OK',
    message: `${name ?? unit} ${outcome}${degraded ? ' (degraded)' : ''}${took}${why ? ` · ${why}` : ''}`,
    data: { outcome, degraded, unit, label: name, latency_ms, reason: why },
  }
}

/** A report's body; anything longer is not a report. */
const MAX_REPORT_BYTES = 65_536
const MAX_DATA_BYTES = 16_384
/** Each counts as an additional report: an event stays in the log, a checkpoint replaces the last one. */
const EVENT_BYTES_PER_REPORT = 256
const CHECKPOINT_BYTES_PER_REPORT = 16_384

/** Returns the size in bytes. Throws CageError `body_too_large`. */
function requireSmall(data: unknown): number {
  const bytes = data === undefined ? 0 : Buffer.byteLength(JSON.stringify(data))
  if (bytes <= MAX_DATA_BYTES) return bytes
  throw new CageError('body_too_large', `the data has ${bytes} bytes, an event holds at most ${MAX_DATA_BYTES}`, {
    facts: { bytes, max_bytes: MAX_DATA_BYTES },
    hint: 'write the data into a file, and its name into the event',
  })
}

/** Services that one agent has reported by name; further ones are combined. */
const MAX_SERVICES = 50

function serviceOf({ by_service }: AgentView, name: string): string {
  return Object.hasOwn(by_service, name) || Object.keys(by_service).length < MAX_SERVICES ? name : OTHER
}

/** Between two chunks the event loop runs other work. */
const SCANNED_AT_ONCE = 16_384
const LISTED_AT_ONCE = 5_000

async function redactInTurns(redactor: Redactor, text: string): Promise<{ text: string; findings: Finding[] }> {
  const stream = redactor.stream()
  const parts: string[] = []
  for (let at = 0; at < text.length; at += SCANNED_AT_ONCE) {
    parts.push(stream.push(text.slice(at, at + SCANNED_AT_ONCE)))
    await setImmediate()
  }
  return { text: parts.join('') + stream.end(), findings: stream.findings }
}

/** The budget of the calling part of the work, if it has its own limit; else the agent's. */
function budgetOfRun({ state, money: { ledger } }: RunDeps, run: AgentIdentity['run']): BudgetStatus {
  const whole = budgetOf(ledger, getAgent(state, run.agentId))
  const part = ledger.accounts.balances(run).find(({ scope }) => scope === 'part')
  if (!part) return whole
  const { limit, spent } = part
  return {
    ...amountsOf(part),
    remaining_usd: toUsd(ledger.accounts.available(run)),
    used_percent: limit > 0 ? (spent / limit) * 100 : 100,
    warned: whole.warned || spent >= limit * ledger.accounts.warnAt,
  }
}

const label = shortText(200).nullish()
const unit = z.string().min(1).max(40).default('units')

const PROGRESS = z.object({
  done: z.number().int().min(0),
  total: z.number().int().min(0).nullish(),
  unit,
  label,
})

/** Parsed JSON, which needs no validation. */
const CHECKPOINT = z.object({ data: z.unknown().refine((data) => data !== undefined, 'is missing') })

const OUTCOME = z.object({
  outcome: z.enum(['succeeded', 'failed']),
  degraded: z.boolean().default(false),
  unit,
  label,
  latency_ms: z.number().min(0).max(86_400_000).nullish(),
  reason: shortText(1000).nullish(),
})

const CHARGE = z.object({
  service: z.string().regex(/^[\w.-]{1,60}$/, { error: 'expected a short name such as "serp_api"' }),
  cost_usd: amount,
  description: shortText(200).optional(),
})

const EVENT = z.object({
  level: z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR']).default('INFO'),
  message: shortText(4000),
  data: z.record(z.string(), z.json()).optional(),
})
