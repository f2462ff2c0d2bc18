import type { PanelRequests } from '../budget/budget-requests.ts'
import type { Config } from '../config/schema.ts'
import type { NewEvent } from '../core/events.ts'
import { type AgentId, toAgentId } from '../core/ids.ts'
import { showNumberOf } from '../core/units.ts'
import type { Order } from '../protocol/control-messages.ts'
import type { LeaseBank } from '../protocol/lease-messages.ts'
import type { Reload } from '../redaction/reload.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { CentralSecrets } from '../vault/central-secrets.ts'
import { Control } from './control.ts'
import { journalIdOf, openJournal } from './journal.ts'
import { keepPolicy, readPolicy } from './kept-policy.ts'
import { Leases, type LeasesOptions } from './leases.ts'
import { readMembership } from './membership.ts'
import { fetchSecrets, panelBank, panelControl, panelRequests, sendTelemetry } from './panel-client.ts'
import { Telemetry } from './telemetry.ts'

type UplinkOptions = Pick<LeasesOptions, 'store' | 'clock'> & { state: StateManager }

/**
 * Opens the leases of a runtime that has joined a Control Panel; undefined for any other. Must be closed. `boot`: as for
 * `openJournal`.
 */
export function openLeases({
  store,
  state,
  clock,
  boot,
}: UplinkOptions & { boot?: string | undefined }): Leases | undefined {
  const membership = readMembership(store)
  if (!membership) return undefined
  const { url, token } = membership
  const record = (event: NewEvent) => state.record(event)
  const bank = reportingQuarantine(panelBank({ url, token, clock }), url, record)
  const agentName = (agentId: AgentId) => state.read().agents[agentId]?.name ?? null
  return new Leases({ store, clock, bank, url, journal: openJournal(store, clock, boot), agentName, record })
}

/** The same bank, which records once that leases of this machine wait for a person, and again when they are others. */
function reportingQuarantine(bank: LeaseBank, url: string, record: (event: NewEvent) => void): LeaseBank {
  let known = 0
  return {
    ...bank,
    open: async (message) => {
      const opened = await bank.open(message)
      const { quarantinedCount: count = 0 } = opened
      if (count > known) {
        const leases = showNumberOf(count, 'lease')
        record({
          type: 'lease.quarantined',
          level: 'WARN',
          message: `The Control Panel does not know what was spent of ${leases} of this machine: an admin has to resolve what "iron-cage runtimes list" shows, with "iron-cage runtimes resolve"`,
          data: { url, count },
        })
      }
      known = count
      return opened
    },
  }
}

/** Sends what happens to the panel, likewise. */
export function openTelemetry({
  store,
  state,
  clock,
  leases,
}: UplinkOptions & Pick<ControlParts, 'leases'>): Telemetry | undefined {
  const membership = readMembership(store)
  if (!membership) return undefined
  const { url, token, joinedSeq } = membership
  const send = sendTelemetry({ url, token, clock })
  const isCopy = () => leases?.known().fault?.code === 'runtime_copied'
  return new Telemetry({ state, clock, journalId: journalIdOf(store), joinedSeq, isCopy, send })
}

/** Where agents ask for more of a shared budget; undefined likewise. */
export function openRequests({ store, clock }: Pick<UplinkOptions, 'store' | 'clock'>): PanelRequests | undefined {
  const membership = readMembership(store)
  return membership && panelRequests({ url: membership.url, token: membership.token, clock })
}

/** Carries out the panel's requests, likewise. */
export function openControl(parts: UplinkOptions & ControlParts): Control | undefined {
  const { store, state, clock, leases, agents, central, config, reload } = parts
  const membership = readMembership(store)
  if (!membership) return undefined
  const { url, token } = membership
  central.connect(fetchSecrets({ url, token, clock }), config.agent.environment)
  const obey = async ({ agent_id, action, by }: Order): Promise<string> => {
    const id = toAgentId(agent_id)
    if (action === 'stop') await agents.stop(id)
    else agents[action](id, `${by} through the Control Panel`)
    return WORDS[action]
  }
  return new Control({
    panel: panelControl({ url, token, clock }),
    state,
    clock,
    obey,
    onLimits: () => leases?.refresh(),
    onSecrets: () => void central.refresh(),
    policy: readPolicy(store),
    onPolicy: (policy) => reload(false, { state: policy, keep: () => keepPolicy(store, policy) }),
  })
}

export interface ControlParts {
  leases: Leases | undefined
  agents: ControlledAgents
  central: CentralSecrets
  config: Config
  /** Of the configuration, with a policy. */
  reload: Reload
}

/** The supervisor, as orders use it. */
export interface ControlledAgents {
  stop(id: AgentId): Promise<void>
  pause(id: AgentId, by: string): void
  resume(id: AgentId, by: string): void
}

const WORDS = { stop: 'stopped', pause: 'paused', resume: 'resumed' } as const
