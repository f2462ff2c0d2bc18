/** The limits in addition to the agents' own: the server's, and that of each run. */
import { Hono } from 'hono'
import * as z from 'zod'
import type { Balance } from '../budget/account.ts'
import type { Accounts, Spender } from '../budget/accounts.ts'
import { CageError } from '../errors.ts'
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
} from '../money.ts'
import { amount, readJson } from './body.ts'
import type { Env, Guard } from './guard.ts'
import type { Rooms } from './rooms.ts'

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
}

export function budgetRoutes({ money: { ledger } }: Pick<Rooms, 'money'>, guard: Guard): Hono<Env> {
  return new Hono<Env>()
    .get('/', guard('viewer'), (context) => context.json(configuredBudgets(ledger.accounts)))
    .patch('/:scope', guard('admin', 'budget.change'), async (context) => {
      const change = await readJson(context, BUDGET_CHANGE)
      const scope = scopeOf(context.req.param('scope'))
      const { accounts } = ledger
      const limit = changedLimit(accounts.configuredLimit(scope), change)
      accounts.setConfiguredLimit(scope, limit, context.get('identity').name)
      return context.json(configuredBudgets(accounts))
    })
}

export const BUDGET_CHANGE = z.union([z.strictObject({ limit_usd: amount }), z.strictObject({ add_usd: amount })], {
  error: 'expected { "limit_usd": "75" } or { "add_usd": "25" }',
})

/** Throws CageError `invalid_amount` above the countable maximum. */
export function changedLimit(present: Nanodollars, change: z.output<typeof BUDGET_CHANGE>): Nanodollars {
  if ('limit_usd' in change) return change.limit_usd
  const sum = toUsd(add(present, change.add_usd))
  const limit = parseAmount(sum)
  if (limit !== undefined) return limit
  throw new CageError('invalid_amount', `a limit of $${sum} is more than can be counted`, { facts: { limit_usd: sum } })
}

export function configuredBudgets(accounts: Accounts): ConfiguredBudgets {
  const server = accounts.serverBalance()
  const run = accounts.runLimit
  return {
    server: server ? amountsOf(server) : null,
    run: run === undefined ? null : { limit_usd: toUsd(run) },
    period: accounts.period(),
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
