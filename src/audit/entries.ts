/** What an entry of the audit is, and which events belong into it, as what. Pure. */
import type { AuditRow } from '../db/audit.ts'
import type { EventOf, RuntimeEvent } from '../events.ts'

/** Who did what to whom. */
export interface Entry {
  role: AuditRow['role']
  /** A person's or token's name, an agent's id, "iron-cage". */
  actor: string
  /** noun.verb, e.g. "agent.stop". */
  action: string
  /** Id or name of what it was done to. */
  target?: string | null
  /** What else is to be known. Never a secret or a personal datum. */
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
    case 'agent.stopped': {
      // The operator's own stop was asked for at the API, and has its row from there.
      const { reason, survivors } = event.data
      if (reason !== 'budget' && reason !== 'pii') return undefined
      return { ...system, action: event.type, target: event.agent_id, details: { reason, survivors } }
    }
    case 'config.loaded':
    case 'config.refused':
      return { ...system, action: event.type, details: event.data }
    // What is done to secrets is written by the vault, in the transaction that does it.
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

/** As the vault writes them (`secret_audit_log` reads them). */
const detailsOf = (
  { agent_id, data }: EventOf<'secret.rotated' | 'secret.reloaded' | 'secret.reload_failed'>,
  success: boolean,
) => ({
  environment: data.environment,
  agent_id,
  success,
})
