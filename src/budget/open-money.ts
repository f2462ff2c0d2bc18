/** Everything that decides about money: budgets, prices, and which models are trusted to obey their limits. */

import type { Config } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import type { Store } from '../db/store.ts'
import type { StateManager } from '../state/state-manager.ts'
import { BudgetRequests, type PanelRequests } from './budget-requests.ts'
import { type Ledger, openLedger } from './ledger.ts'
import { openPriceList } from './pinned-list.ts'
import type { PriceList } from './price-list.ts'
import { Prices } from './prices.ts'
import { RaiseWait } from './raise-wait.ts'
import type { SharedMoney } from './shared-money.ts'
import { StoredInputs } from './stored-inputs.ts'
import { Trust } from './trust.ts'

export interface Money {
  ledger: Ledger
  /** Where agents ask for more. */
  requests: BudgetRequests
  /** Where calls wait that their budget cannot pay. */
  raiseWait: RaiseWait
  prices: Prices
  /** The models that obey their limits. */
  trust: Trust
  /** Limit calls without a token limit to the rest of the budget. (config.budget.clamp_max_tokens) */
  clamp: boolean
  /** What providers have stored. */
  stored: StoredInputs
  /** The model that cheaper ones are compared with; null for none. (config.budget.baseline) */
  baseline: string | null
}

interface MoneyOptions {
  store: Store
  state: StateManager
  clock: Clock
  /** Slices of a budget that is shared with other runtimes. (Default: none is.) */
  leases?: SharedMoney | undefined
  /** The Control Panel that decides about those. (Default: none.) */
  panelRequests?: PanelRequests | undefined
  /** The public prices. (Default: those of the configuration.) */
  list?: PriceList
}

/**
 * Opens it as configured. End with `ledger.close()`. Throws CageError `price_list_refused`.
 */
export function openMoney(
  config: Pick<Config, 'budget' | 'prices' | 'price_list' | 'providers'>,
  { store, state, clock, leases, panelRequests, list }: MoneyOptions,
): Money {
  const ledger = openLedger(config.budget, { store, state, clock, leases })
  return {
    ledger,
    requests: new BudgetRequests({ state, accounts: ledger.accounts, leases, panel: panelRequests }),
    raiseWait: new RaiseWait(ledger.accounts, clock, ledger.accounts.pauseMs),
    prices: new Prices(config, clock, list ?? openPriceList(config.price_list)),
    trust: new Trust({ store, state, clock }),
    stored: new StoredInputs(),
    clamp: config.budget.clamp_max_tokens,
    baseline: config.budget.baseline ?? null,
  }
}
