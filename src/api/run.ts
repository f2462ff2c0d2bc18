/** What a running agent's SDK calls, with its run token. */
import { Hono } from 'hono'
import * as z from 'zod'
import type { AgentIdentity } from '../access/roles.ts'
import { isoTime } from '../clock.ts'
import { changeTexts } from '../dialects/texts.ts'
import { asCageError, CageError } from '../errors.ts'
import { newCallId } from '../ids.ts'
import { showUsd, toUsd } from '../money.ts'
import { figures } from '../state/figures.ts'
import { type BudgetStatus, budgetOf, getAgent } from './agents.ts'
import { amount, readJson, shortText } from './body.ts'
import { amountsOf } from './budgets.ts'
import type { Env, Guard } from './guard.ts'
import { type RunParts, runOf } from './run-of.ts'
import { partRoutes } from './run-parts.ts'
import { secretRoutes } from './run-secrets.ts'
import { circuitRoutes } from './run-services.ts'

export function runRoutes(parts: RunParts, guard: Guard): Hono<Env> {
  const { state, ledger, checkpoints, redactor, logRedactor, incidents } = parts
  /** What an agent writes is shown to people: it goes through the redactor like everything it says. */
  const clean = (agentId: string, text: string): string => {
    const { text: safe, findings } = logRedactor.redact(text)
    incidents.recordAll(findings, { agentId, callId: null, place: 'log' })
    return safe
  }
  const cleanOrNull = (agentId: string, text: string | null | undefined) => (text ? clean(agentId, text) : null)

  return new Hono<Env>()
    .use(guard('agent'))
    .use(async (context, next) => {
      await next()
      if (context.error) runOf(context).onRefused?.(asCageError(context.error))
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
        budget: budgetOfRun(parts, runOf(context)),
      })
    })
    .get('/metrics', (context) => {
      const { agentId } = runOf(context)
      const agent = getAgent(state, agentId)
      const { calls, spent_usd, pii, outcomes, by_model } = agent
      return context.json({ calls, spent_usd, pii, outcomes, by_model, figures: figures(agent, state.now()) })
    })
    .route('/', partRoutes(parts))
    .route('/services', circuitRoutes(parts, clean))
    .route('/secrets', secretRoutes(parts.rotation))
    .post('/progress', async (context) => {
      const { agentId } = runOf(context)
      const { done, total = null, unit: given, label } = await readJson(context, PROGRESS)
      const unit = clean(agentId, given)
      state.record({
        type: 'progress.updated',
        level: 'DEBUG',
        agent_id: agentId,
        message: total === null ? `${done} ${unit}` : `${done} / ${total} ${unit}`,
        data: { done, total, unit, label: cleanOrNull(agentId, label) },
      })
      return context.body(null, 204)
    })
    .post('/outcomes', async (context) => {
      const { agentId } = runOf(context)
      const { outcome, degraded, label, unit: given, latency_ms = null, reason } = await readJson(context, OUTCOME)
      const unit = clean(agentId, given)
      const name = cleanOrNull(agentId, label)
      const why = cleanOrNull(agentId, reason)
      const took = latency_ms === null ? '' : ` · ${(latency_ms / 1000).toFixed(1)} s`
      state.record({
        type: 'unit.completed',
        level: outcome === 'failed' ? 'ERROR' : 'OK',
        agent_id: agentId,
        message: `${name ?? unit} ${outcome}${degraded ? ' (degraded)' : ''}${took}${why ? ` · ${why}` : ''}`,
        data: { outcome, degraded, unit, label: name, latency_ms, reason: why },
      })
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
      return context.json({ version: checkpoints.put(runOf(context), data, isoTime(state.now())) })
    })
    .post('/charges', async (context) => {
      const { agentId, runId } = runOf(context)
      const { service: given, cost_usd: cost, description } = await readJson(context, CHARGE)
      const service = clean(agentId, given)
      const callId = newCallId()
      const hold = await ledger.hold({
        callId,
        agentId,
        runId,
        kind: 'reported',
        target: service,
        model: null,
        most: cost,
      })
      const settled = ledger.charge(hold, { cost })
      state.record(
        {
          type: 'service.called',
          level: 'INFO',
          agent_id: agentId,
          message: `${service} reported ${showUsd(toUsd(cost))}${description ? ` · ${clean(agentId, description)}` : ''}`,
          data: {
            call_id: callId,
            service,
            ok: true,
            status: 200,
            tier: 1,
            blocked: false,
            cost_usd: toUsd(cost),
            saved_usd: '0',
            latency_ms: 0,
            ...settled.paidBy,
          },
        },
        settled.write,
      )
      return context.json({ budget: budgetOfRun(parts, runOf(context)) })
    })
    .post('/scan', async (context) => {
      const { text } = await readJson(context, SCAN)
      const { text: redacted, findings } = redactor.redact(text)
      return context.json({
        redacted,
        findings: findings.map(({ type, start, end, risk }) => ({ type, start, end, risk })),
      })
    })
    .post('/events', async (context) => {
      const { agentId } = runOf(context)
      const { level, message, data } = await readJson(context, EVENT)
      const text = clean(agentId, message)
      const facts = data && { facts: changeTexts(data, (part) => clean(agentId, part)) }
      state.record({
        type: 'agent.output',
        level,
        agent_id: agentId,
        message: text,
        data: { stream: 'stdout', text, ...facts },
      })
      return context.body(null, 204)
    })
}

/** Of the part of its work that asks, where that has a limit of its own; of the agent otherwise. */
function budgetOfRun({ state, ledger }: RunParts, run: AgentIdentity['run']): BudgetStatus {
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

export const CHECKPOINT = z.object({ data: z.json() })

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
