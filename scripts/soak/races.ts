/** Two hundred calls at once on the last cent, at the ledger itself: two of $0.004 are paid, whichever budget is tight. */

import { Ledger } from '../../src/budget/ledger.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { NewEvent } from '../../src/core/events.ts'
import { toAgentId, toCallId, toRunId } from '../../src/core/ids.ts'
import { add, fromUsd, max, type Nanodollars, subtract, toUsd, usd, ZERO_NANOS } from '../../src/core/money.ts'
import { openStore, type Store } from '../../src/db/store.ts'
import { StateManager } from '../../src/state/state-manager.ts'

const CALLS = 200
const COST = fromUsd(usd('0.004'))
const TIGHT = fromUsd(usd('0.01'))
const WIDE = fromUsd(usd('1000'))
const COMPLETED: NewEvent = {
  type: 'service.called',
  level: 'INFO',
  agent_id: toAgentId('a-1'),
  message: 'paid',
  data: {
    call_id: toCallId('call-1'),
    service: 'crm',
    ok: true,
    status: 200,
    tier: 1,
    blocked: false,
    cost_usd: toUsd(COST),
    saved_usd: usd('0'),
    latency_ms: 1,
  },
}

export interface RaceSummary {
  /** The most that spent and held were above a limit, looked at after every hold and every charge. */
  overspentNanos: Nanodollars
  /** Budgets that still held something at the end of their race. */
  held: number
  /** How many calls were paid, each number once. */
  admitted: number[]
}

export async function raceRounds(repetitions: number): Promise<RaceSummary> {
  const summary: RaceSummary = { overspentNanos: ZERO_NANOS, held: 0, admitted: [] }
  const store = openStore({ path: ':memory:' })
  const state = new StateManager({ store, clock: systemClock, retentionDays: 7, onFault: rethrow })
  for (let race = 0; race < repetitions; race++) {
    const limits = [WIDE, WIDE, WIDE].with(race % 3, TIGHT)
    const admitted = await raceOnce(store, state, limits, summary)
    if (!summary.admitted.includes(admitted)) summary.admitted.push(admitted)
    // The server's limit is for ever; the next race begins with an empty ledger.
    store.orm.$client.exec('DELETE FROM calls')
  }
  state.close()
  store.close()
  return summary
}

/** `limits`: the agent's, the run's, the server's. Returns how many calls were paid. */
async function raceOnce(
  store: Store,
  state: StateManager,
  [agent, perRun, server]: readonly Nanodollars[],
  summary: RaceSummary,
): Promise<number> {
  const ledger = new Ledger({ store, state, clock: systemClock, warnAt: [1], perRun, server })
  ledger.accounts.openAccount(toAgentId('a-1'), agent!)
  const spender = { agentId: toAgentId('a-1'), runId: toRunId('run-1') }
  const look = () => {
    for (const { limit, spent, held } of ledger.accounts.balances(spender)) {
      summary.overspentNanos = max(summary.overspentNanos, subtract(add(spent, held), limit))
    }
  }
  let admitted = 0
  const call = async (number: number) => {
    const request = {
      ...spender,
      callId: toCallId(`call-${number}`),
      kind: 'llm',
      target: 'openai',
      model: 'gpt-4',
      maxCost: COST,
    } as const
    const hold = await ledger.hold(request).catch(() => undefined)
    look()
    if (!hold) return
    admitted += 1
    for (let turn = 0; turn < number % 7; turn++) await undefined
    const charged = ledger.charge(hold, { cost: COST }, COMPLETED)
    look()
    await charged
  }
  await Promise.all(Array.from({ length: CALLS }, (_, number) => call(number)))
  summary.held += ledger.accounts.balances(spender).filter(({ held }) => held !== 0).length
  const rows = store.orm.$client.prepare("SELECT count(*) FROM calls WHERE state = 'charged'").pluck().get()
  if (rows !== admitted) throw new Error(`${admitted} calls were paid, and ${rows} rows tell of it`)
  ledger.close()
  return admitted
}

function rethrow(error: unknown): never {
  throw error
}
