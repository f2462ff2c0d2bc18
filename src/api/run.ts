/** The routes that a running agent's SDK calls, with its run token. */

import { setImmediate } from 'node:timers/promises'
import { Hono } from 'hono'
import * as z from 'zod'
import type { AgentIdentity } from '../access/roles.ts'
import { isoTime } from '../clock.ts'
import { changeTexts } from '../dialects/texts.ts'
import { asCageError, CageError } from '../errors.ts'
import type { NewEvent } from '../events.ts'
import { reportCharge } from '../gateway/report-charge.ts'
import type { AgentId } from '../ids.ts'
import { toUsd } from '../money.ts'
import { Findings } from '../redaction/findings.ts'
import type { Finding } from '../redaction/match.ts'
import type { Redactor } from '../redaction/redactor.ts'
import type { Scrub } from '../state/clean.ts'
import { shownFigures } from '../state/figures-text.ts'
import { type AgentView, OTHER } from '../state/snapshot.ts'
import { showLatency } from '../units.ts'
import { type BudgetStatus, budgetOf, getAgent } from './agents.ts'
import { amount, MAX_BODY_BYTES, readJson, shortText } from './body.ts'
import { amountsOf } from './budgets.ts'
import type { Env, Guard } from './guard.ts'
import { type RunRooms, runOf } from './run-of.ts'
import { partRoutes } from './run-parts.ts'
import { RunRate } from './run-rate.ts'
import { runSecretRoutes } from './run-secrets.ts'
import { circuitRoutes } from './run-services.ts'

// biome-ignore lint/complexity/noExcessiveLinesPerFunction: a list of routes
export function runRoutes(rooms: RunRooms, guard: Guard): Hono<Env> {
  const { state, safety, incidents, clock } = rooms
  const { checkpoints } = rooms.store
  const rate = new RunRate(clock)
  /**
   * Texts of an agent are shown to people, so they are redacted like its output. The findings of one report are
   * recorded together.
   */
  const cleaned = <T>(agentId: AgentId, build: (clean: Scrub, cleanOrNull: ScrubOrNull) => T): T => {
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

  return new Hono<Env>()
    .use(guard('agent'))
    .use(async (context, next) => {
      await next()
      if (context.error) runOf(context).onRefused?.(asCageError(context.error))
    })
    .use(async (context, next) => {
      if (context.req.method !== 'GET') await rate.enter(runOf(context).agentId)
      await next()
    })
    .get('/', (context) => {
      const { agentId, runId, name } = runOf(context)
      const agent = getAgent(state, agentId)
      return context.json({
        agent_id: agentId,
        run_id: runId,
        name,
        state: agent.state,
        safety_mode: agent.safety_mode,
        budget: budgetOfRun(rooms, runOf(context)),
      })
    })
    .get('/metrics', (context) => {
      const { agentId } = runOf(context)
      const agent = getAgent(state, agentId)
      const { calls, spent_usd, pii, outcomes, by_model } = agent
      return context.json({ calls, spent_usd, pii, outcomes, by_model, figures: shownFigures(agent, state.now()) })
    })
    .route('/', partRoutes(rooms))
    .route(
      '/services',
      circuitRoutes(rooms, (agentId, text) => cleaned(agentId, (clean) => clean(text))),
    )
    .route('/secrets', runSecretRoutes(rooms.secrets.rotation))
    .post('/progress', async (context) => {
      const { agentId } = runOf(context)
      const { done, total = null, unit: given, label } = await readJson(context, PROGRESS, MAX_REPORT_BYTES)
      state.record(
        cleaned(agentId, (clean, cleanOrNull) => {
          const unit = clean(given)
          return {
            type: 'progress.updated',
            level: 'DEBUG',
            agent_id: agentId,
            message: total === null ? `${done} ${unit}` : `${done} / ${total} ${unit}`,
            data: { done, total, unit, label: cleanOrNull(label) },
          }
        }),
      )
      return context.body(null, 204)
    })
    .post('/outcomes', async (context) => {
      const { agentId } = runOf(context)
      const report = await readJson(context, OUTCOME, MAX_REPORT_BYTES)
      state.record({ ...cleaned(agentId, (...clean) => outcomeEvent(report, ...clean)), agent_id: agentId })
      return context.body(null, 204)
    })
    .get('/checkpoint', (context) => {
      const run = runOf(context)
      const found = checkpoints.get(run)
      if (!found) throw new CageError('not_found', `${run.name} has no checkpoint`)
      return context.json(found)
    })
    .put('/checkpoint', async (context) => {
      const { data } = await readJson(context, CHECKPOINT)
      const bytes = Number(context.req.header('content-length') ?? MAX_BODY_BYTES)
      await rate.enter(runOf(context).agentId, bytes / CHECKPOINT_BYTES_PER_REPORT)
      return context.json({ version: checkpoints.put(runOf(context), data, isoTime(state.now())) })
    })
    .post('/charges', async (context) => {
      const { agentId, runId } = runOf(context)
      const { service: given, cost_usd: cost, ...report } = await readJson(context, CHARGE, MAX_REPORT_BYTES)
      const { service, description } = cleaned(agentId, (clean) => ({
        service: serviceOf(getAgent(state, agentId), clean(given)),
        description: report.description && clean(report.description),
      }))
      await reportCharge(rooms, {
        caller: { agentId, runId },
        service,
        cost,
        description,
        signal: context.req.raw.signal,
      })
      return context.json({ budget: budgetOfRun(rooms, runOf(context)) })
    })
    .post('/scan', async (context) => {
      const { text } = await readJson(context, SCAN)
      const { text: redacted, findings } = await redactInTurns(safety.replies, text)
      const listed = await jsonInTurns(findings.map(({ type, start, end, risk }) => ({ type, start, end, risk })))
      return context.body(`{"redacted":${JSON.stringify(redacted)},"findings":${listed}}`, 200, {
        'content-type': 'application/json',
      })
    })
    .post('/events', async (context) => {
      const { agentId } = runOf(context)
      const { level, message, data } = await readJson(context, EVENT, MAX_REPORT_BYTES)
      await rate.enter(agentId, requireSmall(data) / EVENT_BYTES_PER_REPORT)
      state.record(
        cleaned(agentId, (clean) => {
          const text = clean(message)
          const facts = data && { facts: changeTexts(data, clean) }
          return {
            type: 'agent.output',
            level,
            agent_id: agentId,
            message: text,
            data: { stream: 'stdout', text, ...facts },
          }
        }),
      )
      return context.body(null, 204)
    })
}

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
function budgetOfRun({ state, money: { ledger } }: RunRooms, run: AgentIdentity['run']): BudgetStatus {
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

export const PROGRESS = z.object({
  done: z.number().int().min(0),
  total: z.number().int().min(0).nullish(),
  unit,
  label,
})

/** Parsed JSON, which needs no validation. */
export const CHECKPOINT = z.object({ data: z.unknown().refine((data) => data !== undefined, 'is missing') })

export const SCAN = z.object({ text: z.string() })

export const OUTCOME = z.object({
  outcome: z.enum(['succeeded', 'failed']),
  degraded: z.boolean().default(false),
  unit,
  label,
  latency_ms: z.number().min(0).max(86_400_000).nullish(),
  reason: shortText(1000).nullish(),
})

export const CHARGE = z.object({
  service: z.string().regex(/^[\w.-]{1,60}$/, { error: 'expected a short name such as "serp_api"' }),
  cost_usd: amount,
  description: shortText(200).optional(),
})

export const EVENT = z.object({
  level: z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR']).default('INFO'),
  message: shortText(4000),
  data: z.record(z.string(), z.json()).optional(),
})
