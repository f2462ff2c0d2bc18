/** The money of one runtime as its server opens it: a database, a ledger, and the leases of a Control Panel. */

import { type Ledger, openLedger } from '../../src/budget/ledger.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { NewEvent, RuntimeEvent } from '../../src/core/events.ts'
import { newCallId, toAgentId } from '../../src/core/ids.ts'
import { fromUsd, type Nanodollars, toUsd, usd } from '../../src/core/money.ts'
import type { Synchronous } from '../../src/db/database.ts'
import { openStore, type Store } from '../../src/db/store.ts'
import { StateManager } from '../../src/state/state-manager.ts'
import { journalIdOf } from '../../src/uplink/journal.ts'
import type { Leases } from '../../src/uplink/leases.ts'
import { type Membership, writeMembership } from '../../src/uplink/membership.ts'
import { openLeases, openTelemetry } from '../../src/uplink/open-uplink.ts'
import { joinPanel } from '../../src/uplink/panel-client.ts'

export const AGENT = toAgentId('a-1')

export interface Machine {
  store: Store
  ledger: Ledger
  leases: Leases | undefined
  events: RuntimeEvent[]
  state: StateManager
  /** Holds, calls `send` with the whole hold, and charges its result. */
  call(maxCost: string, send: () => Promise<Nanodollars>, tokenName?: string): Promise<void>
  /** As a server that stops. */
  close(): Promise<void>
}

/** Joins with an invitation, as the command does. */
export async function joinMachine(path: string, url: string, token: string): Promise<Membership> {
  const store = openStore({ path })
  try {
    const membership = await joinPanel({ url, token }, { name: 'machine', version: '1.0.0' })
    journalIdOf(store)
    const state = new StateManager({ store, clock: systemClock, retentionDays: 7, onFault: () => {} })
    writeMembership(store, { ...membership, joinedSeq: state.read().seq })
    state.close()
    return membership
  } finally {
    store.close()
  }
}

export interface MachineOptions {
  clock?: Clock
  /** The agent's own budget, in dollars. (Default: wide, a million.) */
  limit?: string
  /** As for `openJournal`. (Default: the system's.) */
  boot?: string
  synchronous?: Synchronous
}

export function openMachine(
  path: string,
  { clock = systemClock, limit = '1000000', boot, synchronous = 'normal' }: MachineOptions = {},
): Machine {
  const store = openStore({ path, synchronous })
  const events: RuntimeEvent[] = []
  const state = new StateManager({ store, clock, retentionDays: 7, onFault: () => {} })
  state.subscribe((event) => void (/^(panel|lease)\./.test(event.type) && events.push(event)))
  const leases = openLeases({ store, state, clock, boot })
  const telemetry = openTelemetry({ store, state, clock, leases })
  const budget = { limit_usd: usd(limit), warn_at: [0.9], on_exhausted: 'refuse' } as unknown as Parameters<
    typeof openLedger
  >[0]
  const ledger = openLedger(budget, { store, state, clock, leases })
  ledger.recover()
  if (!store.budgets.find(AGENT)) ledger.accounts.openAccount(AGENT, fromUsd(usd(limit)))
  const end = () => {
    ledger.close()
    state.close()
    store.close()
  }
  return {
    store,
    ledger,
    leases,
    events,
    state,
    call: async (maxCost, send, tokenName) => {
      const request = { agentId: AGENT, runId: null, tokenName, kind: 'llm', target: 'openai', model: 'gpt-4' } as const
      const hold = await ledger.hold({ ...request, callId: newCallId(), maxCost: fromUsd(usd(maxCost)) })
      const cost = await send()
      await ledger.charge(hold, { cost }, chargedEvent(cost))
    },
    close: async () => {
      await telemetry?.close()
      await leases?.close()
      end()
    },
  }
}

const chargedEvent = (cost: Nanodollars): NewEvent => ({
  type: 'service.called',
  level: 'INFO',
  agent_id: AGENT,
  message: 'paid',
  data: {
    call_id: newCallId(),
    service: 'crm',
    ok: true,
    status: 200,
    tier: 1,
    blocked: false,
    cost_usd: toUsd(cost),
    saved_usd: usd('0'),
    latency_ms: 1,
  },
})
