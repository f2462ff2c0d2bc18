/** What is printed when an agent has ended: the commands that may be useful next. */
import type { LoadedConfig } from '../config/config.ts'
import type { AgentState, EventData } from '../events.ts'
import { fromUsd, suggestedIncrease, toUsd } from '../money.ts'
import { type TreeEntry, tree } from './print.ts'

export interface EndFacts {
  agentId: string
  loaded: Pick<LoadedConfig, 'config' | 'origins'>
  /** How it ended. */
  state: AgentState | undefined
  /** The last event of an exhausted budget, if there was one. */
  exhausted: EventData['budget.exhausted'] | undefined
  /** Opens the dashboard; null when the server ends as well. */
  dashboardLink: string | null
}

export function endBlock({ agentId, loaded, state, exhausted, dashboardLink }: EndFacts): string[] {
  const database = databaseFlag(loaded)
  return tree(`${agentId} has ended`, [
    ['Report', `iron-cage report ${agentId}${database}`],
    ...(state === 'budget_stopped' && exhausted
      ? continueWith(agentId, database, exhausted, dashboardLink !== null)
      : []),
    ['Dashboard', dashboardLink],
  ])
}

/** An agent keeps its id and its ledger while its server runs, and its checkpoint also afterwards. */
function continueWith(
  agentId: string,
  database: string,
  exhausted: EventData['budget.exhausted'],
  serverRuns: boolean,
): TreeEntry[] {
  const { budget, limit_usd } = exhausted
  if (!serverRuns && !budget) return [['Continue', startAgain(', with a new --budget')]]
  const more = toUsd(suggestedIncrease(fromUsd(limit_usd)))
  return [
    ['Raise', `iron-cage budget add ${budget ? `--${budget}` : agentId} ${more}${database}`],
    ['Continue', serverRuns ? `iron-cage restart ${agentId}${database}` : startAgain('')],
  ]
}

const startAgain = (how: string): string =>
  `the same "iron-cage start …" again${how}; it continues from its last checkpoint, if it saved any`

/** The --db flag, when the database is not where commands look by default. */
function databaseFlag({ config, origins }: EndFacts['loaded']): string {
  const origin = origins['db.path'] ?? 'default'
  return origin === 'default' || origin === 'IRON_CAGE_DB' ? '' : ` --db ${config.db.path}`
}
