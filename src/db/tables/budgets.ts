import { eq } from 'drizzle-orm'
import type { AgentId } from '../../core/ids.ts'
import type { Database } from '../database.ts'
import { budgets } from './schema.ts'

export type BudgetRow = typeof budgets.$inferSelect
export type BudgetTable = ReturnType<typeof budgetTable>

export function budgetTable({ orm }: Database) {
  return {
    find: (agentId: AgentId): BudgetRow | undefined =>
      orm.select().from(budgets).where(eq(budgets.agent_id, agentId)).get(),

    put(row: BudgetRow): void {
      orm.insert(budgets).values(row).onConflictDoUpdate({ target: budgets.agent_id, set: row }).run()
    },
  }
}
