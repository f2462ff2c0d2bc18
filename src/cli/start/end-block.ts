/** The block printed when an agent has ended: its results, and the commands that may be useful next. */
import type { LoadedConfig } from '../../config/config.ts'
import type { AgentState, EventData, PiiType } from '../../core/events.ts'
import { fromUsd, type NamedScope, showUsd, suggestedIncrease, toUsd, type Usd } from '../../core/money.ts'
import { PII } from '../../core/pii-types.ts'
import { showCount } from '../../core/units.ts'
import { spentOfLimit } from '../../state/figures.ts'
import type { AgentView } from '../../state/snapshot.ts'
import { type TreeEntry, tree } from '../output/print.ts'

/** A host that was reached without being listed, as a list names it. */
export interface UnlistedHost {
  host: string
  isPrivate: boolean
}

export interface EndFacts {
  agentId: string
  loaded: Pick<LoadedConfig, 'config' | 'origins'>
  /** How it ended. */
  state: AgentState | undefined
  /** Its last state; undefined when its server ended before it could be read. */
  agent: AgentView | undefined
  /** It made calls that are in none of the counts: refused ones, or those of services. */
  madeOtherCalls: boolean
  /** Its connections through the gateway. (Default: none.) */
  egress?: { unlisted: readonly UnlistedHost[]; refused: readonly string[] }
  /** The last event of an exhausted budget, if there was one. */
  exhausted: EventData['budget.exhausted'] | undefined
  /** Opens the dashboard; null when the server ends as well. */
  dashboardLink: string | null
  /** The command line that starts such an agent again. */
  command: string
}

/** Events of calls that an agent's counts leave out. */
export const OTHER_CALLS = ['call.refused', 'service.called'] as const

export function endBlock(facts: EndFacts): string[] {
  const { agentId, loaded, state, agent, exhausted, dashboardLink } = facts
  const database = databaseFlag(loaded)
  const serverRuns = dashboardLink !== null
  const isInterrupted = state !== undefined && INTERRUPTED.includes(state)
  return tree(`${agentId} has ended`, [
    ['Why', isInterrupted ? (agent?.reason ?? null) : null],
    ...(agent ? summary(agent, !facts.madeOtherCalls && !(state && FAILED.includes(state))) : []),
    ...egressLines(facts),
    ['Report', `iron-cage report ${agentId}${database}`],
    ...(state === 'budget_stopped' && exhausted ? afterBudget(facts, database, exhausted) : []),
    ['Continue', isInterrupted ? (serverRuns ? `iron-cage resume ${agentId}${database}` : startAgain(facts)) : null],
    ['Dashboard', dashboardLink ?? `iron-cage open${database} (with "start --keep" it stays open)`],
  ])
}

/** Hosts that were reached where nothing is enforced, and refused ones. */
function egressLines({ egress: { unlisted, refused } = NO_EGRESS, command }: EndFacts): TreeEntry[] {
  const names = unlisted.map(({ host }) => host)
  return [
    ['Refused', refused.length > 0 ? `${shown(refused)} (iron-cage egress suggest)` : null],
    ['Reached', names.length > 0 ? shown(names) : null],
    ['Enforce', names.length > 0 ? enforcing(unlisted, command) : null],
  ]
}

const NO_EGRESS: NonNullable<EndFacts['egress']> = { unlisted: [], refused: [] }

const shown = (hosts: readonly string[]): string =>
  hosts.slice(0, MAX_SHOWN).join(', ') + (hosts.length > MAX_SHOWN ? ` and ${hosts.length - MAX_SHOWN} more` : '')

/** A flag lists no hosts of private networks. */
function enforcing(unlisted: readonly UnlistedHost[], command: string): string {
  if (unlisted.length > MAX_SHOWN || unlisted.some(({ isPrivate }) => isPrivate)) {
    return 'iron-cage egress suggest prints the list for the configuration'
  }
  const allow = unlisted.map(({ host }) => host).join(',')
  return `${command.replace(/ --egress[ =]\S+/, '')} --egress ${allow}`
}

const MAX_SHOWN = 8

const FAILED: readonly AgentState[] = ['failed', 'crash_loop']
const INTERRUPTED: readonly AgentState[] = ['stopped', ...FAILED]

/** `mayBypass`: nothing else explains why there are no calls. */
function summary(agent: AgentView, mayBypass: boolean): TreeEntry[] {
  const { calls, limit_usd, safety_mode, detect, pii } = agent
  const found = Object.entries(pii).map(([type, count]) => `${showCount(count)} ${PII[type as PiiType].title}`)
  const done = { redact: 'redacted', block: 'blocked', warn: 'not redacted (safety mode "warn")' }[safety_mode]
  const isUnseen = mayBypass && calls.completed + calls.failed === 0
  return [
    ['Cost', `${showUsd(spentOfLimit(agent))} of ${showUsd(limit_usd)}`],
    [
      'Calls',
      `${showCount(calls.completed)} completed, ${showCount(calls.failed)} failed${isUnseen ? `; ${NO_CALLS}` : ''}`,
    ],
    ['Findings', detect.length === 0 ? 'not monitored' : found.length > 0 ? `${found.join(', ')}, ${done}` : 'none'],
  ]
}

const NO_CALLS =
  'none reached the gateway: a client with an address in its code, or of a provider that is not configured, passes it by (iron-cage doctor)'

/** An agent keeps its id and its ledger while its server runs. Started again it has a new budget, and its checkpoint. */
function afterBudget(
  facts: EndFacts,
  database: string,
  { budget, limit_usd }: EventData['budget.exhausted'],
): TreeEntry[] {
  const { agentId } = facts
  const serverRuns = facts.dashboardLink !== null
  const more = toUsd(suggestedIncrease(fromUsd(limit_usd)))
  const added = budget ? '' : ` --add ${more}`
  return [
    ['Raise', budget ? raiseCommand(budget, more, database) : null],
    ['Continue', serverRuns ? `iron-cage resume ${agentId}${added}${database}` : `${facts.command} (${NEW_BUDGET})`],
  ]
}

/** A shared limit is raised on its Control Panel. */
const raiseCommand = (budget: NamedScope, more: Usd, database: string): string =>
  budget === 'shared' ? `iron-cage budget add --org ${more}` : `iron-cage budget add --${budget} ${more}${database}`

const NEW_BUDGET = 'a new budget, from its last checkpoint; an agent that saves none begins again and needs more'

const startAgain = ({ command }: EndFacts): string => `${command} (from its last checkpoint, if it saved any)`

/** The --db flag, when the database is not where commands look by default. */
function databaseFlag({ config, origins }: EndFacts['loaded']): string {
  const origin = origins['db.path'] ?? 'default'
  return origin === 'default' || origin === 'IRON_CAGE_DB' ? '' : ` --db ${config.db.path}`
}
