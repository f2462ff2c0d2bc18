/** The entries of the audit, and which events become one. Pure. */

import type { EventOf, RuntimeEvent } from '../core/events.ts'
import type { AuditRow } from '../db/tables/audit.ts'

/** Who did what, and to what. */
export interface Entry {
  role: AuditRow['role']
  /** A person's or token's name, an agent's id, "iron-cage". */
  actor: string
  /** noun.verb, e.g. "agent.stop". */
  action: string
  /** Id or name of the object. */
  target?: string | null
  /** Further facts. Never a secret or personal data. */
  details?: Readonly<Record<string, unknown>>
}

const system = { role: 'system', actor: 'iron-cage' } as const

export function entryOf(event: RuntimeEvent): Entry | undefined {
  switch (event.type) {
    case 'pii.found': {
      const { incident_id, unit: _unit, ...details } = event.data
      return { role: 'agent', actor: event.agent_id ?? '', action: 'pii.found', target: incident_id, details }
    }
    case 'budget.raised': {
      const { budget, from_usd, limit_usd, by } = event.data
      return {
        role: 'admin',
        actor: by,
        action: 'budget.changed',
        target: event.agent_id ?? budget ?? null,
        details: { from_usd, limit_usd },
      }
    }
    case 'call.corrected':
    case 'call.resolved': {
      const { by, ...details } = event.data
      return { role: 'admin', actor: by, action: event.type, target: event.data.call_id, details }
    }
    case 'auth.failed': {
      const { role = 'nobody', actor = 'unknown', ...details } = event.data
      return { role, actor, action: event.type, details }
    }
    case 'agent.ordered': {
      const { by, action, ...details } = event.data
      const target = event.agent_id
      return { role: 'admin', actor: by, action: `agent.${action}`, target, details: { through: 'panel', ...details } }
    }
    case 'agent.stopped': {
      // A stop by the operator came through the API, which recorded it.
      const { reason, survivors } = event.data
      if (reason !== 'budget' && reason !== 'pii') return undefined
      return { ...system, action: event.type, target: event.agent_id, details: { reason, survivors } }
    }
    case 'config.loaded':
    case 'config.refused':
      return { ...system, action: event.type, details: event.data }
    // Operations on secrets are recorded by the vault, in their transaction.
    case 'vault.opened':
    case 'vault.locked': {
      const { secrets, ...facts } = event.data
      return { ...system, action: event.type, details: { ...facts, secrets: secrets.length } }
    }
    case 'vault.exposed':
    case 'vault.broken':
      return { ...system, action: event.type, details: event.data }
    case 'secret.rotated':
    case 'secret.reloaded':
      return { ...system, action: event.type, target: event.data.name, details: detailsOf(event, true) }
    case 'secret.reload_failed': {
      const error = `restart required: ${event.data.reason}`
      return { ...system, action: event.type, target: event.data.name, details: { ...detailsOf(event, false), error } }
    }
    default:
      return undefined
  }
}

/** The vault's actions (read by `secret_audit_log`). */
const detailsOf = (
  { agent_id, data }: EventOf<'secret.rotated' | 'secret.reloaded' | 'secret.reload_failed'>,
  success: boolean,
) => ({
  environment: data.environment,
  agent_id,
  success,
})
