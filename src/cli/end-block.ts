/** What is printed when an agent has ended: what can be typed next. */
import type { LoadedConfig } from '../config/config.ts'
import type { AgentState, EventData } from '../events.ts'
import { fromUsd, suggestedIncrease, toUsd } from '../money.ts'
import { type TreeEntry, tree } from './print.ts'

export interface EndFacts {
  agentId: string
  loaded: Pick<LoadedConfig, 'config' | 'origins'>
  /** How it ended. */
  state: AgentState | undefined
  /** The last time that a budget was exhausted, if one ever was. */
  exhausted: EventData['budget.exhausted'] | undefined
  /** Opens the dashboard; null when the server ends as well. */
  dashboardLink: string | null
}

export function endBlock({ agentId, loaded, state, exhausted, dashboardLink }: EndFacts): string[] {
  const database = databaseFlag(loaded)
  return tree(`${agentId} has ended`, [
    ['Report', `iron-cage report ${agentId}${database}`],
    ...(state === 'budget_stopped' && exhausted ? goOn(agentId, database, exhausted, dashboardLink !== null) : []),
    ['Dashboard', dashboardLink],
  ])
}

/** An agent keeps its id and its ledger as long as its server runs, and its checkpoint beyond that. */
function goOn(
  agentId: string,
  database: string,
  exhausted: EventData['budget.exhausted'],
  serverRuns: boolean,
): TreeEntry[] {
  const { budget, limit_usd } = exhausted
  if (!serverRuns && !budget) return [['Go on', startAgain(', with what it may spend now as --budget')]]
  const more = toUsd(suggestedIncrease(fromUsd(limit_usd)))
  return [
    ['Raise', `iron-cage budget add ${budget ? `--${budget}` : agentId} ${more}${database}`],
    ['Go on', serverRuns ? `iron-cage restart ${agentId}${database}` : startAgain('')],
  ]
}

const startAgain = (how: string): string =>
  `the same "iron-cage start …" once more${how}; it begins at its last checkpoint, if it keeps any`

/** Where the database is elsewhere than commands look for it. */
function databaseFlag({ config, origins }: EndFacts['loaded']): string {
  const origin = origins['db.path'] ?? 'default'
  return origin === 'default' || origin === 'IRON_CAGE_DB' ? '' : ` --db ${config.db.path}`
}
