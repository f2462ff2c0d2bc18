/** The text of an alert, from its event alone. Pure. */

import type { AlertKind, EventOf, EventType, RuntimeEvent, SafetyMode } from '../core/events.ts'
import type { AgentId } from '../core/id-types.ts'
import { fromUsd, type NamedScope, showUsd, subtract, suggestedIncrease, toUsd, type Usd } from '../core/money.ts'
import { PII } from '../core/pii-types.ts'
import { showCount, showDuration, showNumberOf, showPercent } from '../core/units.ts'
import type { AlertRequest } from '../state/snapshot.ts'
import type { Digest } from './alert-throttle.ts'

export interface Wording {
  kind: AlertKind
  title: string
  detail: string
  /** What to do now: a sentence that ends with a command. (Default: nothing.) */
  action?: string | undefined
  /** The budget it is about. (Default: the agent's own, if any.) */
  budget?: NamedScope | undefined
  /** The circuit it is about. (Default: none.) */
  circuit?: string | undefined
  /** An agent's request. (Default: nothing.) */
  request?: Omit<AlertRequest, 'state'> | undefined
}

/** The type of event that each kind of alert comes from; a channel's `events` names those. */
const SOURCES: Record<AlertKind, EventType> = {
  circuit_opened: 'circuit.opened',
  pii_found: 'pii.found',
  budget_warning: 'budget.warned',
  budget_exhausted: 'budget.exhausted',
  budget_requested: 'budget.requested',
  model_refused: 'model.refused',
  loop_detected: 'loop.detected',
  crash_loop: 'agent.exited',
  blocked: 'agent.stopped',
  audit_broken: 'audit.broken',
  vault_broken: 'vault.broken',
  restart_required: 'secret.reload_failed',
  secret_rotated: 'secret.rotated',
  secret_rolled_back: 'secret.rolled_back',
  test: 'alert.tested',
}

/** The kinds of alerts that a channel with these `events` receives. (Default: all.) */
export const kindsOf = (events: readonly EventType[] | undefined): AlertKind[] =>
  (Object.keys(SOURCES) as AlertKind[]).filter((kind) => kind === 'test' || (events?.includes(SOURCES[kind]) ?? true))

/** Returns the alert of an event, or undefined. */
export function wordAlert(event: RuntimeEvent): Wording | undefined {
  switch (event.type) {
    case 'budget.warned': {
      const { budget, spent_usd, limit_usd, used_percent } = event.data
      return {
        kind: 'budget_warning',
        budget,
        title: `Budget warning${whoseBudget(budget)}`,
        detail: wordSpent(spent_usd, limit_usd, used_percent),
        action: `To approve more: ${raiseCommand(event)}`,
      }
    }
    case 'budget.exhausted': {
      const { budget, spent_usd, limit_usd, needed_usd, waits_s } = event.data
      const wait = waits_s === undefined ? '' : ` Calls wait up to ${showDuration(waits_s * 1000)} for a raise.`
      const call = needed_usd === null ? '' : ` A call of up to ${showUsd(needed_usd)} does not fit.`
      return {
        kind: 'budget_exhausted',
        budget,
        title: `Budget exhausted${whoseBudget(budget)}`,
        detail: `${showUsd(spent_usd)} of ${showUsd(limit_usd)} spent.${overshoot(spent_usd, limit_usd)}${call}${wait}`,
        // A client with its own token has no process to resume.
        action: `To approve more: ${raiseCommand(event)}. To start a stopped agent again: iron-cage resume ${event.agent_id}`,
      }
    }
    case 'budget.requested': {
      const { request_id: id, budget, add_usd, reason } = event.data
      return {
        kind: 'budget_requested',
        budget,
        request: { id, add_usd, reason },
        title: `More budget requested${whoseBudget(budget)}`,
        detail: `The agent asks for ${showUsd(add_usd)} more: "${reason}".`,
        action: `To approve it: ${addCommand(event, add_usd)}`,
      }
    }
    case 'circuit.opened':
      return wordTrip(event)
    case 'model.refused': {
      const { name, call_id, bound_usd, claimed_usd } = event.data
      return {
        kind: 'model_refused',
        title: `Model refused — ${name}`,
        detail: `Call ${call_id} could cost ${showUsd(bound_usd)}; ${showUsd(claimed_usd)} are claimed for it. Calls to ${name} are blocked.`,
        action: `Check its bill, then allow it again: iron-cage models trust ${name}`,
      }
    }
    case 'loop.detected':
      return wordLoop(event)
    case 'pii.found':
      return wordFinding(event)
    case 'agent.exited':
      return event.data.state === 'crash_loop'
        ? {
            kind: 'crash_loop',
            title: 'Crash loop',
            detail: `${event.data.reason}. Restarts are disabled.`,
            action: afterFix(event.agent_id, 'logs'),
          }
        : undefined
    case 'agent.stopped':
      return event.data.reason === 'pii'
        ? {
            kind: 'blocked',
            title: 'Agent blocked',
            detail: 'Personal data was found and safety.mode is "block", so the agent was stopped.',
            action: afterFix(event.agent_id, 'incidents --agent'),
          }
        : undefined
    case 'audit.broken':
      return {
        kind: 'audit_broken',
        title: 'Audit tampered with',
        detail: `${event.data.problem}.`,
        action: 'Keep a copy of the database, then find the rows: iron-cage audit verify',
      }
    case 'vault.broken':
      return {
        kind: 'vault_broken',
        title: 'Vault tampered with',
        detail: `${event.data.problem}.`,
        action: 'Keep a copy of the database, then set the secret again: iron-cage secrets set <name>',
      }
    case 'alert.tested':
      return { kind: 'test', ...wordTest(event.data.by) }
    default:
      return wordSecret(event)
  }
}

/** The result of a secret's rotation. */
function wordSecret(event: RuntimeEvent): Wording | undefined {
  switch (event.type) {
    case 'secret.rotated': {
      const { name, environment, reloaded, restart_required } = event.data
      const done = [
        ...(reloaded > 0 ? [`${agents(reloaded)} in ${environment} picked up the new value.`] : []),
        ...(restart_required > 0 ? [`${agents(restart_required)} must be restarted to get it.`] : []),
      ]
      const detail = done.join(' ') || `No running agent in ${environment} uses it.`
      return { kind: 'secret_rotated', title: `Secret rotated — ${name}`, detail }
    }
    case 'secret.reload_failed': {
      const { name, environment } = event.data
      return {
        kind: 'restart_required',
        title: `Restart required — ${name}`,
        detail: `The agent still uses the old value of ${name} (${environment}).`,
        action: `To give it the new one: iron-cage restart ${event.agent_id}`,
      }
    }
    case 'secret.rolled_back': {
      const { name, environment } = event.data
      return {
        kind: 'secret_rolled_back',
        title: `Secret rolled back — ${name}`,
        detail: `The provider refused the new value of ${name} (${environment}) and accepted the previous one, which is current again.`,
        action: `To set another: iron-cage secrets rotate ${name} --env ${environment}`,
      }
    }
    default:
      return undefined
  }
}

/** A test of whether alerts arrive. */
export const wordTest = (by: string): { title: string; detail: string } => ({
  title: 'Test',
  detail: `Sent by ${by}. Nothing has happened.`,
})

/** How much of a budget is spent, and what follows; also of a budget that a Control Panel shares. */
export const wordSpent = (spent: Usd, limit: Usd, usedPercent: number): string =>
  `${showUsd(spent)} of ${showUsd(limit)} spent (${showPercent(usedPercent, 1)}).${overshoot(spent, limit) || " Calls that don't fit the remaining budget are blocked."}`

const whoseBudget = (budget: NamedScope | undefined): string =>
  budget ? ` — ${{ run: 'this run', server: 'the whole server', shared: 'shared with other machines' }[budget]}` : ''

/** For a charge above the limit that no hold could foresee. Empty within the limit. */
function overshoot(spent: Usd, limit: Usd): string {
  const over = subtract(fromUsd(spent), fromUsd(limit))
  if (over <= 0) return ''
  return ` That is ${showUsd(toUsd(over))} above the limit: the provider used more than the call had asked for. Further calls are blocked.`
}

/** Raises the limit that a budget's event is about, as suggested. */
const raiseCommand = (event: EventOf<'budget.warned' | 'budget.exhausted'>): string =>
  addCommand(event, toUsd(suggestedIncrease(fromUsd(event.data.limit_usd))))

function addCommand(
  { agent_id, data }: EventOf<'budget.warned' | 'budget.exhausted' | 'budget.requested'>,
  more: Usd,
): string {
  const whose = data.budget === 'shared' ? '--org' : data.budget ? `--${data.budget}` : agent_id
  return `iron-cage budget add ${whose} ${more}`
}

const afterFix = (agentId: AgentId | null, look: string): string | undefined =>
  agentId === null
    ? undefined
    : `Find the cause: iron-cage ${look} ${agentId}. After a fix: iron-cage resume ${agentId}`

/** One alert for many findings. */
export function wordDigest({ counts, seconds, last }: Digest): Wording {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
  const byType = [...counts].map(([type, count]) => `${PII[type].name} ${count}`).join(', ')
  return {
    kind: 'pii_found',
    title: total === 1 ? 'Personal data found once more' : `Personal data found ${total} more times`,
    detail: `Within ${seconds} s: ${byType}.`,
    action: listIncidents(last.agent_id),
  }
}

const listIncidents = (agentId: AgentId | null): string | undefined =>
  agentId === null ? undefined : `To list the incidents: iron-cage incidents --agent ${agentId}`

const MEANWHILE = { 1: 'Serving live data', 2: 'Serving cached data', 3: 'Serving a placeholder' } as const

function wordTrip({ data }: EventOf<'circuit.opened'>): Wording {
  const { circuit, failures, of, cooldown_ms, reason, tier } = data
  const meanwhile = tier === null ? 'Calls are blocked' : MEANWHILE[tier]
  return {
    kind: 'circuit_opened',
    circuit,
    title: `Circuit open — ${circuit}`,
    detail: `${failures} failures ${of === undefined ? 'in a row' : `in ${of} calls`} (${reason}). ${meanwhile}; retrying in ${showDuration(cooldown_ms)}.`,
    action: `To close it now: iron-cage circuits reset ${circuit}`,
  }
}

function wordLoop({ agent_id, data, message }: EventOf<'loop.detected'>): Wording {
  const { tool, model, action } = data
  return {
    kind: 'loop_detected',
    title: `Going round in circles — ${tool ?? model}`,
    detail: `${message[0]!.toUpperCase()}${message.slice(1)}. ${action === 'refuse' ? 'Such calls are refused.' : 'Calls go on.'}`,
    action:
      agent_id === null
        ? undefined
        : `To see what it does: iron-cage calls ${agent_id}. To stop it: iron-cage stop ${agent_id}`,
  }
}

const PLACES = {
  reply: 'a reply',
  tool_arguments: 'tool arguments',
  request: 'a request',
  output: 'the output',
  log: 'a log line',
} as const
const ACTIONS: Record<SafetyMode, string> = { redact: 'redacted', block: 'blocked', warn: 'left in place' }

function wordFinding({ agent_id, data }: EventOf<'pii.found'>): Wording {
  const { pii_type, place, unit, risk, action, count = 1 } = data
  const where = unit === null ? PLACES[place] : `${PLACES[place]} of ${unit}`
  return {
    kind: 'pii_found',
    title: `Personal data found — ${PII[pii_type].name}${count === 1 ? '' : ` (${showCount(count)} times)`}`,
    detail: `In ${where}, ${ACTIONS[action]} (risk ${risk}).`,
    action: listIncidents(agent_id),
  }
}

const agents = (count: number): string => showNumberOf(count, 'agent')
