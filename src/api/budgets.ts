/** The limits in addition to the agents' own: the server's, and that of each run. */
import * as z from 'zod'
import type { Balance } from '../budget/account.ts'
import type { Accounts, Spender } from '../budget/accounts.ts'
import { CageError } from '../core/errors.ts'
import {
  add,
  type BudgetScope,
  type ConfiguredScope,
  max,
  type Nanodollars,
  parseAmount,
  subtract,
  toUsd,
  type Usd,
  ZERO_NANOS,
} from '../core/money.ts'
import { BUDGET_CHANGE } from '../http/body.ts'
import { named, type Route, routesOf, type Shape, time, usd } from '../http/route.ts'
import { readSharedBudget, type SharedBalanceView, type SharedBudget } from '../uplink/shared-budget.ts'
import type { Deps } from './deps.ts'

export interface Amounts {
  limit_usd: Usd
  spent_usd: Usd
  held_usd: Usd
  remaining_usd: Usd
}

/** Every budget that an agent's calls count toward, its own first: all must allow them. */
export type Budgets = ({ scope: BudgetScope } & Amounts)[]

export const budgetsOf = (accounts: Accounts, spender: Spender): Budgets =>
  accounts.balances(spender).map(({ scope, ...balance }) => ({ scope, ...amountsOf(balance) }))

/** The response of `/api/budgets`. */
export interface ConfiguredBudgets {
  /** Null without a limit. */
  server: Amounts | null
  /** The limit of each run; null without a limit. */
  run: { limit_usd: Usd } | null
  /** The period of the server's limit; null if it never resets. */
  period: { starts_at: string; ends_at: string } | null
  /** Null for a server that has joined no Control Panel. */
  shared: SharedBudget | null
}

const route = routesOf('Budgets')

export const budgetRoutes = (deps: Pick<Deps, 'money' | 'store' | 'leases'>): Route[] => [
  route('GET /api/budgets', {
    role: 'viewer',
    summary:
      "Returns the server's budget, the limit of each run, and what is known of budgets shared with other machines.",
    reply: configuredBudgetsView,
    handle: () => configuredBudgets(deps),
  }),
  route('PATCH /api/budgets/:scope', {
    role: 'admin',
    action: 'budget.change',
    summary: 'Sets or raises the limit of the server (`server`) or of each run (`run`), effective from the next call.',
    body: BUDGET_CHANGE,
    reply: configuredBudgetsView,
    errors: ['not_found', 'conflict', 'invalid_amount'],
    handle: ({ params, body, identity }) => {
      const { accounts } = deps.money.ledger
      const scope = scopeOf(params.scope)
      accounts.setConfiguredLimit(scope, changedLimit(accounts.configuredLimit(scope), body), identity.name)
      return configuredBudgets(deps)
    },
  }),
]

/** The fields of Amounts. */
export const amountsShape = () =>
  ({ limit_usd: usd(), spent_usd: usd(), held_usd: usd(), remaining_usd: usd() }) satisfies Shape<Amounts>

export const period = () =>
  z
    .object({ starts_at: time(), ends_at: time() })
    .nullable()
    .describe('Current budget period; null if limits never reset.')

const configuredBudgetsView = named('ConfiguredBudgets', () =>
  z.object({
    server: z.object(amountsShape()).nullable().describe('Of all agents together; null without a limit.'),
    run: z.object({ limit_usd: usd() }).nullable().describe('Of each run; null without a limit.'),
    period: period(),
    shared: sharedBudgetView()
      .nullable()
      .describe('Through a Control Panel, as far as this server knows; null if it has joined none.'),
  } satisfies Shape<ConfiguredBudgets>),
)

const sharedBudgetView = named('SharedBudget', () =>
  z.object({
    panel: z.string().describe("The panel's address."),
    name: z.string().describe("This server's name there."),
    fault: z
      .object({ code: z.string(), message: z.string() })
      .nullable()
      .describe('Why the panel does not answer; null while it does, and before it was asked.'),
    can_spend: z.boolean().describe('Whether calls can be paid from what this server was lent.'),
    balances: z
      .array(
        z.object({
          budget: z.string().describe('Such as "organization acme".'),
          limit_usd: usd(),
          spent_usd: usd(),
          free_usd: usd().describe('Neither spent nor lent to any machine.'),
          ends_at: time().nullable().describe('End of its period; null for a budget that does not renew.'),
          heard_at: time().describe('When the panel said so.'),
        } satisfies Shape<SharedBalanceView>),
      )
      .describe('The tightest of the budgets that pay for any call, then those of agents and tokens that called.'),
    lent_usd: usd().describe('Lent to this server and not spent.'),
  } satisfies Shape<SharedBudget>),
)

/** Throws CageError `invalid_amount` above the countable maximum. */
export function changedLimit(present: Nanodollars, change: z.output<typeof BUDGET_CHANGE>): Nanodollars {
  if ('limit_usd' in change) return change.limit_usd
  const sum = toUsd(add(present, change.add_usd))
  const limit = parseAmount(sum)
  if (limit !== undefined) return limit
  throw new CageError('invalid_amount', `a limit of $${sum} is more than can be counted`, { facts: { limit_usd: sum } })
}

export function configuredBudgets({
  money,
  store,
  leases,
}: Pick<Deps, 'money' | 'store' | 'leases'>): ConfiguredBudgets {
  const { accounts } = money.ledger
  const server = accounts.serverBalance()
  const run = accounts.runLimit
  return {
    server: server ? amountsOf(server) : null,
    run: run === undefined ? null : { limit_usd: toUsd(run) },
    period: accounts.period(),
    shared: readSharedBudget(store, leases),
  }
}

export const amountsOf = ({ limit, spent, held }: Balance): Amounts => ({
  limit_usd: toUsd(limit),
  spent_usd: toUsd(spent),
  held_usd: toUsd(held),
  remaining_usd: toUsd(max(ZERO_NANOS, subtract(limit, add(spent, held)))),
})

function scopeOf(scope: string): ConfiguredScope {
  if (scope === 'run' || scope === 'server') return scope
  throw new CageError('not_found', `there is no budget "${scope}"`, { hint: 'there are "server" and "run"' })
}
