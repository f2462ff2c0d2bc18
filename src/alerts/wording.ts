/** The text of an alert, from its event alone. Pure. */

import type { AlertKind, EventOf, EventType, RuntimeEvent, SafetyMode } from '../events.ts'
import { type ConfiguredScope, fromUsd, showUsd, subtract, toUsd, type Usd } from '../money.ts'
import { PII } from '../pii-types.ts'
import { showCount, showDuration, showNumberOf, showPercent } from '../units.ts'
import type { Digest } from './alert-throttle.ts'

export interface Wording {
  kind: AlertKind
  title: string
  detail: string
  /** The budget it is about. (Default: the agent's own, if any.) */
  budget?: ConfiguredScope | undefined
  /** The circuit it is about. (Default: none.) */
  circuit?: string | undefined
}

/** The type of event that each kind of alert comes from; a webhook's `events` names those. */
export const SOURCES: Record<AlertKind, EventType> = {
  circuit_opened: 'circuit.opened',
  pii_found: 'pii.found',
  budget_warning: 'budget.warned',
  budget_exhausted: 'budget.exhausted',
  model_refused: 'model.refused',
  crash_loop: 'agent.exited',
  blocked: 'agent.stopped',
  audit_broken: 'audit.broken',
  vault_broken: 'vault.broken',
  restart_required: 'secret.reload_failed',
  secret_rotated: 'secret.rotated',
  secret_rolled_back: 'secret.rolled_back',
  test: 'alert.tested',
}
export const ALERT_KINDS = Object.keys(SOURCES) as AlertKind[]

/** Returns the alert of an event, or undefined. */
export function wordAlert(event: RuntimeEvent): Wording | undefined {
  switch (event.type) {
    case 'budget.warned': {
      const { budget, spent_usd, limit_usd, used_percent } = event.data
      return {
        kind: 'budget_warning',
        budget,
        title: `Budget warning${whoseBudget(budget)}`,
        detail: `${showUsd(spent_usd)} of ${showUsd(limit_usd)} spent (${showPercent(used_percent, 1)}).${overshoot(spent_usd, limit_usd) || ' No call is sent that does not fit into the rest.'}`,
      }
    }
    case 'budget.exhausted': {
      const { budget, spent_usd, limit_usd, needed_usd, waits_s } = event.data
      const wait = waits_s === undefined ? '' : ` Calls wait up to ${showDuration(waits_s * 1000)} for a raise.`
      const call = needed_usd === null ? '' : ` A call of up to ${showUsd(needed_usd)} does not fit any more.`
      return {
        kind: 'budget_exhausted',
        budget,
        title: `Budget exhausted${whoseBudget(budget)}`,
        detail: `${showUsd(spent_usd)} of ${showUsd(limit_usd)} spent.${overshoot(spent_usd, limit_usd)}${call}${wait}`,
      }
    }
    case 'circuit.opened':
      return wordTrip(event)
    case 'model.refused': {
      const { name, call_id, bound_usd, claimed_usd } = event.data
      return {
        kind: 'model_refused',
        title: `Model refused — ${name}`,
        detail: `Call ${call_id} could cost ${showUsd(bound_usd)}; ${showUsd(claimed_usd)} are claimed for it. Nothing more is sent to ${name}. Look at its bill; "iron-cage models trust ${name}" lets it go on.`,
      }
    }
    case 'pii.found':
      return wordFinding(event)
    case 'agent.exited':
      return event.data.state === 'crash_loop'
        ? { kind: 'crash_loop', title: 'Crash loop', detail: `${event.data.reason}. It is not started again.` }
        : undefined
    case 'agent.stopped':
      return event.data.reason === 'pii'
        ? {
            kind: 'blocked',
            title: 'Agent blocked',
            detail: 'Personal data was found and safety.mode is "block", so the agent was stopped.',
          }
        : undefined
    case 'audit.broken':
      return {
        kind: 'audit_broken',
        title: 'Audit tampered with',
        detail: `${event.data.problem}. Keep a copy of the database and look with "iron-cage audit verify".`,
      }
    case 'vault.broken':
      return {
        kind: 'vault_broken',
        title: 'Vault tampered with',
        detail: `${event.data.problem}. Keep a copy of the database; set the secret again, or restore a backup.`,
      }
    case 'alert.tested':
      return {
        kind: 'test',
        title: 'Test',
        detail: `${event.data.by} wanted to see whether alerts arrive. Nothing has happened.`,
      }
    default:
      return wordSecret(event)
  }
}

/** What the rotation of a secret did. */
function wordSecret(event: RuntimeEvent): Wording | undefined {
  switch (event.type) {
    case 'secret.rotated': {
      const { name, environment, reloaded, restart_required } = event.data
      const late = restart_required > 0 ? ` ${agents(restart_required)} will have it after a restart.` : ''
      return {
        kind: 'secret_rotated',
        title: `Secret rotated — ${name}`,
        detail: `${agents(reloaded)} of ${environment} took over the new value while running.${late}`,
      }
    }
    case 'secret.reload_failed': {
      const { name, environment } = event.data
      return {
        kind: 'restart_required',
        title: `Restart required — ${name}`,
        detail: `The agent did not take over the new value of ${name} (${environment}). It gets it when it is restarted.`,
      }
    }
    case 'secret.rolled_back': {
      const { name, environment } = event.data
      return {
        kind: 'secret_rolled_back',
        title: `Secret rolled back — ${name}`,
        detail: `The provider refused the new value of ${name} (${environment}) and accepted the one before, which holds again.`,
      }
    }
    default:
      return undefined
  }
}

const whoseBudget = (budget: ConfiguredScope | undefined): string =>
  budget ? ` — ${{ run: 'this run', server: 'the whole server' }[budget]}` : ''

/** For a charge above the limit that no hold could foresee. Empty within the limit. */
function overshoot(spent: Usd, limit: Usd): string {
  const over = subtract(fromUsd(spent), fromUsd(limit))
  if (over <= 0) return ''
  return ` That is ${showUsd(toUsd(over))} above the limit: what a provider has used is charged, also when it is more than the call had asked for. No further call is sent.`
}

/** One alert for many findings. */
export function wordDigest({ counts, seconds }: Digest): Wording {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
  const byType = [...counts].map(([type, count]) => `${PII[type].name} ${count}`).join(', ')
  return {
    kind: 'pii_found',
    title: `Personal data found ${total} more times`,
    detail: `Within ${seconds} s: ${byType}. The incidents list them.`,
  }
}

const ANSWERS = { 1: 'Live data answers', 2: 'Cached data answers', 3: 'A placeholder answers' } as const

function wordTrip({ data }: EventOf<'circuit.opened'>): Wording {
  const { circuit, failures, of, cooldown_ms, reason, tier } = data
  const meanwhile = tier === null ? 'Calls are refused' : ANSWERS[tier]
  return {
    kind: 'circuit_opened',
    circuit,
    title: `Circuit open — ${circuit}`,
    detail: `${failures} failures ${of === undefined ? 'in a row' : `in ${of} calls`} (${reason}). ${meanwhile}; next try in ${showDuration(cooldown_ms)}.`,
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

function wordFinding({ data }: EventOf<'pii.found'>): Wording {
  const { pii_type, place, unit, risk, action, count = 1 } = data
  const where = unit === null ? PLACES[place] : `${PLACES[place]} of ${unit}`
  return {
    kind: 'pii_found',
    title: `Personal data found — ${PII[pii_type].name}${count === 1 ? '' : ` (${showCount(count)} times)`}`,
    detail: `In ${where}, ${ACTIONS[action]} (risk ${risk}).`,
  }
}

const agents = (count: number): string => showNumberOf(count, 'agent')
